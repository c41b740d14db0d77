"""Models to cut, each trained once, and what tests of `fairseq-prune compact` ask of them."""

import re

import pytest
import torch
from commands import reported
from conftest import TINY, USER_DIR, Run, run_fairseq

LM = """--arch transformer_lm --decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32
    --decoder-attention-heads 2 --tokens-per-sample 32"""
ROBERTA = """--arch roberta_base --encoder-layers 1 --encoder-embed-dim 16 --encoder-ffn-embed-dim 32
    --encoder-attention-heads 2 --tokens-per-sample 32 --mask-prob 0.5"""
LAYERWISE = "--prune-method magnitude --prune-scope layer --prune-target 0.28"
ROWS = f"{LAYERWISE} --prune-units row --prune-skip *embed*,*attn*,*fc2*"
COLUMNS = f"{LAYERWISE} --prune-units column --prune-skip *embed*,*attn*,*fc1*,*proj*"
SHARED, TIED = "--share-all-embeddings", "--share-decoder-input-output-embed"


@pytest.fixture(scope="session")
def trained(parallel, monolingual, tmp_path_factory):
    """Train each model once: trained("name", task, arch, *words)."""
    runs = {}

    def get(name, task, arch, *words):
        if name not in runs:
            data = parallel if "translation" in task else monolingual
            runs[name] = Run(tmp_path_factory.mktemp(name), data, task, arch)
            runs[name].train("--max-update", "4", *words)
        return runs[name]

    return get


@pytest.fixture
def rows(trained):
    """A stock Transformer, 9 of whose 32 neurons in each block have lost their input."""
    return trained("rows", "prune_translation", f"--arch transformer {SHARED} {TINY}", *ROWS.split())


@pytest.fixture
def stock(trained):
    """A dense Transformer of a stock task."""
    return trained("stock", "translation", f"--arch transformer_iwslt_de_en {TIED} {TINY}")


def edited(run, path, edit):
    """Save a checkpoint of a run after ``edit(state dict)``; returns the path."""
    checkpoint = run.checkpoint()
    edit(checkpoint["model"])
    torch.save(checkpoint, path)
    return path


def fc2_columns(*units):
    def edit(state):
        state["encoder.layers.0.fc2.weight"][:, list(units)] = 0

    return edit


def compact(capsys, *words):
    return reported(capsys, "compact", *words)


def hypotheses(capsys, data, path, task="prune_translation"):
    capsys.readouterr()
    run_fairseq(
        "generate", data, "--user-dir", USER_DIR, "--task", task, "--path", path, "--cpu", "--beam", "2",
        "--max-len-b", "5", "--max-tokens", "200", "--num-workers", "0",
    )  # fmt: skip
    found = re.findall(r"^(H-\d+)\t\S+\t(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(found) == 8
    return found


def shapes(checkpoint):
    return {name: tuple(value.shape) for name, value in checkpoint["model"].items()}
