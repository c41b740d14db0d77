"""Models that translate well after 80 updates, of every kind that is exported."""

import random

import pytest
import torch
from conftest import TINY, Run, run_fairseq

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint

SHARED, TIED = "--share-all-embeddings", "--share-decoder-input-output-embed"
PRE_NORM = "--encoder-normalize-before --decoder-normalize-before --encoder-learned-pos"
LM = """--arch transformer_lm --decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32
    --decoder-attention-heads 2 --tokens-per-sample 32"""
ROWS = """--prune-method magnitude --prune-scope layer --prune-target 0.28 --prune-units row
    --prune-skip *embed*,*attn*,*fc2*"""
KINDS = {  # name -> (task, architecture, how it is pruned)
    "post-norm": ("translation", f"--arch transformer {TIED} {TINY}", ""),
    "pre-norm": ("translation", f"--arch transformer {PRE_NORM} {SHARED} {TINY}", ""),
    "masked": ("prune_translation", f"--arch transformer {SHARED} {TINY}", ROWS),
    "srp": ("srp_translation", f"--arch srp_transformer {TIED} {TINY}", "--compression-rate 0.5"),
    "plain": ("srp_translation", f"--arch srp_transformer --srp-plain-layernorm {TIED} {TINY}", ""),
    "lm": ("prune_language_modeling", LM, ""),
}  # fmt: skip


@pytest.fixture(scope="session")
def counting_lines(tmp_path_factory):
    """Translations that are learned at once: each word, repeated, counts on from there as often."""
    folder, rng = tmp_path_factory.mktemp("counting"), random.Random(1)
    for split, lines in (("train", 400), ("valid", 16), ("test", 12)):
        pairs = [(rng.randrange(12), rng.randint(2, 4)) for _ in range(lines)]
        for side, step in (("de", 0), ("en", 1)):
            words = [" ".join(f"w{(first + i * step) % 12}" for i in range(length)) for first, length in pairs]
            (folder / f"{split}.{side}").write_text("\n".join(words) + "\n")
    return folder


@pytest.fixture(scope="session")
def counting_pairs(counting_lines, tmp_path_factory):
    """The same, binarised."""
    folder = tmp_path_factory.mktemp("binarised")
    splits = [word for split in ("train", "valid", "test") for word in (f"--{split}pref", counting_lines / split)]
    run_fairseq(
        "preprocess", "--source-lang", "de", "--target-lang", "en", "--joined-dictionary", *splits, "--destdir", folder
    )
    return folder


@pytest.fixture(scope="session")
def exportable(counting_pairs, counting, tmp_path_factory):
    """Train each model once and give its checkpoint: exportable("masked")."""
    runs = {}

    def get(name):
        if name not in runs:
            task, arch, pruned = KINDS[name]
            text = counting_pairs if "translation" in task else counting
            runs[name] = Run(tmp_path_factory.mktemp(name), text, task, arch)
            runs[name].train("--max-update", "80", *pruned.split(), "--disable-validation", "--max-tokens", "200")
        return runs[name].folder / "checkpoint_last.pt"

    return get


@pytest.fixture(scope="session")
def exportable_cut(exportable, tmp_path_factory):
    """The masked model without the neurons of the rows that are gone, different numbers in its layers, and a head."""
    before, out = load_checkpoint(exportable("masked")), tmp_path_factory.mktemp("cut")
    before["model"]["encoder.layers.0.fc2.weight"][:, 20:] = 0
    before["model"]["encoder.layers.0.self_attn.out_proj.weight"][:, :8] = 0
    torch.save(before, out / "zeros.pt")
    main(["compact", str(out / "zeros.pt"), str(out / "compact.pt"), "--batches", "1"])
    return out / "compact.pt"
