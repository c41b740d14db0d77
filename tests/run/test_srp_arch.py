"""fairseq's commands with SRP architectures, and no SRP task."""

import re
from argparse import Namespace

import pytest
import torch
from conftest import TINY, USER_DIR, Run, masks_of, run_fairseq, same_tensors, words_of

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.families.transformer.table import transformer_table
from fairseq_prune.pruning.surgery.cut import cut_state

TIED = "--share-decoder-input-output-embed"
SRP = f"--arch srp_transformer {TIED} {TINY}"
STOCK = f"--arch transformer {TIED} {TINY}"
SIZES = {  # residual width, feed-forward width, heads, layers, dropout
    "srp_transformer": (512, 2048, 8, 6, 0.1),
    "srp": (512, 2048, 8, 6, 0.1),
    "srp_wmt_en_de": (512, 2048, 8, 6, 0.1),
    "srp_iwslt_de_en": (512, 1024, 4, 6, 0.1),
    "srp_iwslt_de_en_small": (512, 1024, 4, 3, 0.1),
    "srp_tiny": (128, 256, 4, 2, 0.1),
    "srp_vaswani_wmt_en_de_big": (1024, 4096, 16, 6, 0.3),
}


@pytest.mark.parametrize("arch", SIZES)
def test_architectures(arch):
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_NAME_REGISTRY, ARCH_MODEL_REGISTRY

    assert ARCH_MODEL_NAME_REGISTRY[arch] == "srp_transformer"
    assert ARCH_MODEL_REGISTRY[arch].__name__ == "SrpTransformerModel"
    args, own = Namespace(), Namespace(decoder_ffn_embed_dim=12, encoder_layers=1)
    for given in (args, own):
        ARCH_CONFIG_REGISTRY[arch](given)
    for side in ("encoder", "decoder"):
        options = ("embed_dim", "ffn_embed_dim", "attention_heads", "layers")
        assert tuple(getattr(args, f"{side}_{option}") for option in options) == SIZES[arch][:-1]
    assert args.dropout == SIZES[arch][-1]
    assert (own.decoder_ffn_embed_dim, own.encoder_layers, own.decoder_layers) == (12, 1, SIZES[arch][3])


@pytest.fixture(scope="module")
def cut_checkpoint(parallel, tmp_path_factory):
    """Path of a checkpoint whose model was trained for 2 updates and lost some units of each kind."""
    run = Run(tmp_path_factory.mktemp("cut"), parallel, "prune_translation", SRP)
    checkpoint = run.train("--max-update", "2", "--disable-validation")
    model = checkpoint["model"]
    keep = {"decoder.layers.0.fc_c": torch.zeros(32, dtype=torch.bool), "decoder.embedding_c": torch.arange(16) % 3 > 0}
    keep |= {f"encoder.layers.0.self_attn_{part}_c": torch.arange(16) % 8 < 3 for part in ("qk", "vo")}
    table = transformer_table(model, shared=False)
    checkpoint["model"] = cut_state(model, table, keep)
    torch.save(checkpoint, run.folder / "small.pt")
    return run.folder / "small.pt"


def generate(data, path, *words):
    """Hypotheses of fairseq-generate, and their scores."""
    run_fairseq(
        "generate", data, "--user-dir", USER_DIR, "--path", path, "--cpu", "--beam", "2", "--max-len-b", "5",
        "--max-tokens", "200", "--num-workers", "0", *words,
    )  # fmt: skip


def hypotheses(capsys):
    return re.findall(r"^H-.*", capsys.readouterr().out, re.M)


def test_trains_like_stock(new_run):
    """From the same seed, to the same weights but for rounding."""
    ours, theirs = new_run("ours", arch=SRP).train(), new_run("theirs", task="translation", arch=STOCK).train()
    assert ours["extra_state"]["val_loss"] == pytest.approx(theirs["extra_state"]["val_loss"], abs=1e-3)
    for name, value in theirs["model"].items():
        torch.testing.assert_close(ours["model"][name], value, rtol=1e-3, atol=1e-3)
    assert ours["model"].keys() > theirs["model"].keys()
    assert all((ours["model"][name] == 1).all() for name in ours["model"] if name.endswith("_c"))


def test_starts_from_a_stock_checkpoint(new_run):
    """An update without step size leaves a loss that is the stock model's, and its weights."""
    run = new_run("stock", task="translation", arch=STOCK)
    before = run.train()
    path = run.folder / "checkpoint_last.pt"
    after = new_run("srp", arch=SRP).train("--finetune-from-model", path, "--lr", "0", "--max-update", "1")
    assert after["extra_state"]["val_loss"] == before["extra_state"]["val_loss"]
    assert all(torch.equal(after["model"][name], value) for name, value in before["model"].items())


@pytest.mark.parametrize("start", ["new", "cut"])
def test_resumes_to_the_same_bits(new_run, cut_checkpoint, start):
    words = ["--finetune-from-model", cut_checkpoint] if start == "cut" else []
    whole, half = new_run("whole", arch=SRP), new_run("half", arch=SRP)
    a = whole.train("--save-interval-updates", "3", *words)
    half.begin_at(whole.folder / "checkpoint_1_3.pt")
    b = half.train(*words)
    for part in ("model", "last_optimizer_state"):
        assert same_tensors(a[part], b[part])
    assert not same_tensors(a["model"], whole.checkpoint("checkpoint_1_3.pt")["model"])
    small = load_checkpoint(cut_checkpoint)["model"]
    assert (len(a["model"]["decoder.embedding_c"]) == len(small["decoder.embedding_c"]) == 10) == (start == "cut")
    moment = a["last_optimizer_state"]["state"][0]["exp_avg"]
    assert moment.shape == a["model"]["encoder.embed_tokens.weight"].shape


@pytest.mark.parametrize("fp32", [[], ["--ema-fp32"]])
def test_moving_averages(new_run, cut_checkpoint, fp32):
    """Of a cut model: averages of its shapes, which resume; connectivity and index vectors are whole."""
    words = [
        "--disable-validation",
        "--store-ema",
        "--ema-decay",
        "0.5",
        *fp32,
        "--finetune-from-model",
        cut_checkpoint,
    ]
    whole, half = new_run("whole", arch=SRP), new_run("half", arch=SRP)
    a = whole.train("--save-interval-updates", "3", *words)
    half.begin_at(whole.folder / "checkpoint_1_3.pt")
    assert same_tensors(half.train(*words)["extra_state"]["ema"], a["extra_state"]["ema"])
    averages = a["extra_state"]["ema"]
    assert averages.keys() == a["model"].keys()
    for name, value in a["model"].items():
        assert averages[name].shape == value.shape
        copied = name.endswith(("_c", "pos_emb_mask", "weighted_layer_norm")) or not value.numel()
        if not name.endswith(("version", "k_proj.bias")):  # fairseq's own; without gradient
            assert torch.equal(averages[name], value) == copied, name


def test_generates(new_run, parallel, cut_checkpoint, capsys):
    """By the stock task too; a model cut differently says something else."""
    results = []
    for task in ("translation", "prune_translation"):
        capsys.readouterr()
        generate(parallel, cut_checkpoint, "--task", task)
        results.append(hypotheses(capsys))
    assert results[0] == results[1] and len(results[0]) == 8
    generate(parallel, cut_checkpoint.parent / "checkpoint_last.pt", "--task", "translation")
    assert hypotheses(capsys) != results[0]


def test_magnitude_pruning(new_run):
    """Masks weights as in a stock Transformer; connectivity is no weight."""
    words = words_of("--prune-method magnitude --prune-target 0.5 --prune-scope layer --disable-validation")
    ours, theirs = new_run("ours", arch=SRP).train(*words), new_run("theirs", arch=STOCK).train(*words)
    masks = masks_of(ours)
    assert masks.keys() == masks_of(theirs).keys() and len(masks) == 1 + 1 + 3 * 4 + 2 * 2
    for name, keep in masks.items():
        assert abs(int(keep.sum()) - keep.numel() / 2) < 1 and not ours["model"][name][~keep].any()
    assert all((value == 1).all() for name, value in ours["model"].items() if name.endswith("_c"))


def test_the_layer_norm_mode_travels(new_run, cut_checkpoint):
    """A new model is weighted; a plain one stays plain without any flag; the wrong flag on a cut one is an error."""
    assert load_checkpoint(cut_checkpoint)["model"]["weighted_layer_norm"] == 1
    plain = new_run("plain", arch=SRP)
    for updates, flag, mode in (("1", ["--srp-plain-layernorm"], 0), ("2", [], 0), ("3", ["--weighted-layernorm"], 1)):
        model = plain.train("--disable-validation", "--max-update", updates, *flag)["model"]
        assert model["weighted_layer_norm"] == mode
    start = ["--finetune-from-model", cut_checkpoint, "--max-update", "1", "--disable-validation"]
    assert new_run("same", arch=SRP).train("--weighted-layernorm", *start)["model"]["weighted_layer_norm"] == 1
    with pytest.raises(SystemExit, match="^--srp-plain-layernorm: the checkpoint was pruned with weighted"):
        new_run("other", arch=SRP).train("--srp-plain-layernorm", *start)
    with pytest.raises(SystemExit, match="^--encoder-normalize-before True: pre-norm layers"):
        new_run("pre", arch=SRP).train("--encoder-normalize-before")
