"""`fairseq-prune export --to fairseq`: what plain fairseq, in a process without ours, makes of the files."""

import dataclasses
import subprocess
import sys

import pytest
import torch
from commands import refused, reported
from conftest import TINY
from fairseq.models.transformer import TransformerConfig
from fairseq.tasks import TASK_DATACLASS_REGISTRY
from omegaconf import OmegaConf

from checkpoints import edited, logits
from fairseq_prune.compat import load_checkpoint

ALONE = """
import sys, torch
from fairseq import checkpoint_utils
tokens, found = torch.load(sys.argv[1]), {}
for path in sys.argv[2:]:
    (model,), _, _ = checkpoint_utils.load_model_ensemble_and_task([path])
    inputs = {"src_tokens": tokens}
    if hasattr(model, "encoder"):
        inputs |= {"src_lengths": torch.full((len(tokens),), tokens.shape[1]), "prev_output_tokens": tokens}
    with torch.no_grad():
        found[path] = model.eval().get_normalized_probs(model(**inputs), log_probs=True)
assert "fairseq_prune" not in sys.modules
torch.save(found, sys.argv[1])
"""
DEEP = TINY.replace("--decoder-layers 1", "--decoder-layers 2")
LSTM = """--encoder-embed-dim 8 --decoder-embed-dim 8 --encoder-hidden-size 8 --decoder-hidden-size 8
    --decoder-out-embed-dim 8"""
LM = "--arch lstm_lm --decoder-embed-dim 8 --decoder-hidden-size 8 --decoder-out-embed-dim 8 --tokens-per-sample 9"
SRP = f"--arch srp_transformer --share-decoder-input-output-embed {TINY}"
BART = f"--arch mbart_base --langs de,en --source-lang de --target-lang en --layernorm-embedding {TINY}"
HALF = "--prune-method magnitude --prune-scope layer --prune-target 0.5 --prune-units"
KINDS = {  # stock architecture -> (stock task, version that trains, options, how it is pruned)
    "transformer": ("translation", "prune_translation", f"--arch transformer {DEEP}", f"{HALF} neuron"),
    "lstm_wiseman_iwslt_de_en": ("translation", "prune_translation", f"--arch lstm_wiseman_iwslt_de_en {LSTM}",
        f"{HALF} hidden"),
    "lstm_lm": ("language_modeling", "prune_language_modeling", f"{LM} --decoder-layers 2", f"{HALF} hidden"),
    "lstm_lm, tied": ("language_modeling", "prune_language_modeling",
        f"{LM} --residuals --share-decoder-input-output-embed", f"{HALF} weight"),
    "transformer, SRP's": ("translation", "srp_translation", SRP, "--optimizer srp_adam --criterion srp"),
    "mbart_base": ("translation_from_pretrained_bart", "prune_translation_from_pretrained_bart", BART,
        f"{HALF} weight"),
}  # fmt: skip
OURS = {"srp", "srp_adam", "user_dir", "pruning_stage", "compression_rate", "update_reg_interval", "reg_fit"}


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(4, 12, (3, 6), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def trained(module_run, monolingual):
    """A checkpoint of each kind."""
    paths = {}
    for name, (stock, task, arch, pruned) in KINDS.items():
        run = module_run(name, data=monolingual if stock == "language_modeling" else None, task=task, arch=arch)
        run.train(*pruned.split(), "--max-update", "4", "--disable-validation")
        paths[name] = run.folder / "checkpoint_last.pt"
    return paths


def words_in(value):
    """All keys and strings of nested plain values."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from words_in(inner)
    elif isinstance(value, str):
        yield value


def test_the_same_and_nothing_of_ours(trained, tokens, tmp_path, capsys):
    files = {name: str(tmp_path / f"{name}.pt") for name in KINDS}
    for name, path in trained.items():
        report = reported(capsys, "export", path, files[name], "--to", "fairseq", "--batches", "2")
        assert report["architecture"] == name.partition(",")[0] and report["task"] == KINDS[name][0]
    torch.save(tokens, tmp_path / "exchanged")
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(tmp_path / "exchanged"), *files.values()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = torch.load(tmp_path / "exchanged")
    for name, file in files.items():
        torch.testing.assert_close(found[file], logits(trained[name], tokens), rtol=0, atol=1e-6)

    for name, file in files.items():
        before, after = load_checkpoint(trained[name]), load_checkpoint(file)
        words = {word for word in words_in(after["cfg"]) if str(trained[name].parent) not in word}
        assert not {word for word in words if word.startswith("prune_")} and not OURS - {"user_dir"} & words
        assert after["cfg"]["common"]["user_dir"] is None is after["cfg"]["model"]["user_dir"]
        asked = vars(before["cfg"]["model"])  # what fairseq knows stays
        kept = ("max_update", "lr", "dropout", "decoder_embed_dim", "arch", "data", "seed", "no_save")
        values = {option: after["cfg"]["model"][option] for option in kept}
        assert values == {option: asked[option] for option in kept} | {"arch": name.partition(",")[0]}
    group, stock = after["cfg"]["task"], TASK_DATACLASS_REGISTRY.get("translation_from_pretrained_bart")
    assert (group["_name"], group["langs"], stock) == ("translation_from_pretrained_bart", "de,en", None)
    group = load_checkpoint(files["transformer, SRP's"])["cfg"]["optimizer"]
    assert group["_name"] == "adam" and group["adam_betas"] == [0.9, 0.999]


def test_a_config_of_hydra(trained, tokens, tmp_path, capsys):
    """It has the options of a side in a group of their own."""
    checkpoint = load_checkpoint(trained["transformer"])
    grouped = dataclasses.asdict(TransformerConfig.from_namespace(checkpoint["cfg"]["model"]))
    checkpoint["cfg"]["model"] = OmegaConf.to_container(OmegaConf.create({**grouped, "_name": "transformer"}))
    torch.save(checkpoint, tmp_path / "hydra.pt")
    reported(capsys, "export", tmp_path / "hydra.pt", tmp_path / "out.pt", "--to", "fairseq", "--batches", "2")
    model = load_checkpoint(tmp_path / "out.pt")["cfg"]["model"]
    assert [model[side]["ffn_embed_dim"] for side in ("encoder", "decoder")] == [16, 16]
    assert torch.equal(logits(tmp_path / "out.pt", tokens), logits(trained["transformer"], tokens))


def test_layers_of_several_widths(trained, tmp_path):
    def narrow(state):
        for end, rows in (("fc1.weight", 0), ("fc1.bias", 0), ("fc2.weight", 1)):
            name = f"decoder.layers.1.{end}"
            state[name] = state[name].narrow(rows, 0, 9).clone()

    path = edited(trained["transformer"], tmp_path / "narrow.pt", narrow)
    line = refused("export", path, tmp_path / "out.pt", "--to", "fairseq")
    assert "decoder.layers.*.fc1.weight: 9 and 16 neurons; transformer has one number for all; see" in line


def test_luongnet_is_none_of_fairseqs(new_run, tmp_path):
    run = new_run("luongnet", arch="--arch luongnet_tiny")
    run.train("--max-update", "1", "--disable-validation")
    line = refused("export", run.folder / "checkpoint_last.pt", tmp_path / "out.pt", "--to", "fairseq")
    assert "architecture luongnet_tiny: fairseq has none that computes it" in line
    assert not (tmp_path / "out.pt").exists()


def test_what_only_its_task_runs(new_run, tmp_path, capsys):
    """Its batches hold several pairs of languages: all of their models are compared."""
    many = "--arch multilingual_transformer --lang-pairs de-en,en-de --share-encoders --share-decoders"
    run = new_run("many", task="prune_multilingual_translation", arch=f"{many} {TINY}")
    run.train("--max-update", "1", "--disable-validation")
    words = run.folder / "checkpoint_last.pt", tmp_path / "out.pt", "--to", "fairseq", "--json"
    report = reported(capsys, "export", *words)
    assert report["largest_difference"] == 0 and report["task"] == "multilingual_translation"
