"""Exports of models that lost layers, hidden units or embedding dimensions: the same numbers at other sizes."""

import json

import pytest
import torch
from commands import refused
from conftest import TINY

from checkpoints import logits
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.export.onnx_steps import Steps

DEEP = f"--arch transformer --share-all-embeddings {TINY.replace('--decoder-layers 1', '--decoder-layers 3')}"
LAYERS = """--prune-method magnitude --prune-units layer --prune-only decoder.layers.* --prune-target 0.66
    --prune-start 20up --max-update 80 --max-tokens 200"""
LSTM = """--arch lstm --encoder-embed-dim 8 --encoder-hidden-size 8 --encoder-bidirectional --encoder-layers 2
    --decoder-embed-dim 8 --decoder-hidden-size 8 --decoder-layers 2 --decoder-out-embed-dim 8"""
HALF = "--prune-method magnitude --prune-scope layer --prune-target 0.5 --max-update 4 --prune-units"
STREAM = "--arch rnn_lm_tiny --tokens-per-sample 7 --batch-size 4 --max-tokens 1000"


def export(capsys, path, out, target):
    capsys.readouterr()
    main(["export", str(path), str(out), "--to", target, "--batches", "3", "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(4, 12, (3, 6), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def shallow(module_run, counting_pairs):
    """One decoder layer of three is left."""
    run = module_run("shallow", data=counting_pairs, arch=DEEP)
    names = run.train(*LAYERS.split(), "--disable-validation")["model"]
    assert {name.split(".")[2] for name in names if name.startswith("decoder.layers.")} == {"0"}
    return run.folder / "checkpoint_last.pt"


def test_layers_in_ctranslate2(shallow, capsys, tmp_path):
    report = export(capsys, shallow, tmp_path / "out", "ctranslate2")
    assert report["same"] == report["sentences"] == 12 and report["largest_difference"] < 1e-4


def test_layers_in_onnx(shallow, tokens, capsys, tmp_path):
    report = export(capsys, shallow, tmp_path / "out", "onnx")
    assert report["same_word"] == report["steps"] and report["largest_difference"] < 1e-5
    steps = Steps(str(tmp_path / "out"))
    found = steps.step(tokens, steps.begin(tokens, len(tokens)))
    torch.testing.assert_close(found, logits(shallow, tokens), rtol=0, atol=1e-5)


def test_layers_for_fairseq_alone(shallow, tokens, capsys, tmp_path):
    report = export(capsys, shallow, tmp_path / "out.pt", "fairseq")
    assert (report["architecture"], report["task"], report["largest_difference"]) == ("transformer", "translation", 0)
    config = load_checkpoint(tmp_path / "out.pt")["cfg"]["model"]
    assert (config["decoder_layers"], config["encoder_layers"]) == (1, 1)
    assert torch.equal(logits(tmp_path / "out.pt", tokens), logits(shallow, tokens))


@pytest.mark.parametrize("units, sizes", [("hidden", (8, 4, 8, 4, 4)), ("embedding", (4, 8, 4, 8, 8))])
def test_fairseqs_lstm_at_the_sizes_that_are_left(module_run, tokens, units, sizes, capsys, tmp_path):
    run = module_run(units, arch=LSTM)
    run.train(*HALF.split(), units)
    path = run.folder / "checkpoint_last.pt"
    report = export(capsys, path, tmp_path / "out.pt", "fairseq")
    assert (report["architecture"], report["task"]) == ("lstm", "translation") and report["largest_difference"] < 1e-6
    config = load_checkpoint(tmp_path / "out.pt")["cfg"]["model"]
    names = [f"{side}_{size}" for side in ("encoder", "decoder") for size in ("embed_dim", "hidden_size")]
    assert tuple(config[name] for name in [*names, "decoder_out_embed_dim"]) == sizes
    torch.testing.assert_close(logits(tmp_path / "out.pt", tokens), logits(path, tokens), rtol=0, atol=1e-5)


def test_a_recurrent_language_model(module_run, monolingual, tokens, capsys, tmp_path):
    """Its step in ONNX has the states that are left; fairseq has no such architecture."""
    run = module_run("lm", data=monolingual, task="prune_stateful_language_modeling", arch=STREAM)
    run.train(*HALF.split(), "hidden")
    path = run.folder / "checkpoint_last.pt"
    report = export(capsys, path, tmp_path / "out", "onnx")
    assert report["same_word"] == report["steps"] and report["largest_difference"] < 1e-5
    steps = Steps(str(tmp_path / "out"))
    feed = steps.begin(None, 3)
    assert {name: value.shape for name, value in feed.items()} == {
        f"past_{part}_{layer}": (1, 3, 8) for layer in (0, 1) for part in ("hidden", "cell")
    }
    found = torch.cat([steps.step(part, feed) for part in tokens.split([2, 3, 1], 1)], 1)
    torch.testing.assert_close(found, logits(path, tokens), rtol=0, atol=1e-5)
    line = refused("export", path, tmp_path / "out.pt", "--to", "fairseq")
    assert line.endswith("fairseq has none like it") or "fairseq has none that computes it" in line


@pytest.mark.parametrize("units", ["hidden", "embedding"])
def test_architectures_of_ours_are_refused_by_name(module_run, units, tmp_path):
    run = module_run(f"rnnsearch-{units}", arch="--arch rnnsearch_tiny")
    run.train(*HALF.split(), units)
    line = refused("export", run.folder / "checkpoint_last.pt", tmp_path / "out.pt", "--to", "fairseq")
    assert "architecture rnnsearch_tiny: fairseq has none that computes it" in line and not list(tmp_path.iterdir())
