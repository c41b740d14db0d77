"""`fairseq-prune export --to onnx` of Transformers and recurrent language models: the steps of fairseq."""

import re
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import torch
from commands import refused, reported
from conftest import TINY, Run

from checkpoints import edited
from fairseq_prune.checkpoint.load import load_model, load_task
from fairseq_prune.deploy.export.onnx_steps import Steps
from fairseq_prune.deploy.export.read import read_transformer

DOCS = Path(__file__).parents[2] / "docs" / "deploy.md"
RECURRENT = {
    "rnn_lm": ("prune_stateful_language_modeling", "--arch rnn_lm_tiny", "--batch-size 4 --tokens-per-sample 11"),
    "lstm_lm": (
        "language_modeling",
        "--arch lstm_lm --decoder-embed-dim 16 --decoder-hidden-size 12 --decoder-out-embed-dim 14 --decoder-layers 2 "
        "--decoder-attention 0 --tokens-per-sample 20",
        "",
    ),
}


def export(capsys, checkpoint, out):
    return reported(capsys, "export", checkpoint, out, "--to", "onnx", "--batches", "4")


@pytest.mark.parametrize("name", ["post-norm", "pre-norm", "masked", "srp", "lm"])
def test_each_step_is_fairseqs(exportable, capsys, tmp_path, name):
    out = tmp_path / "out"
    report = export(capsys, exportable(name), out)
    assert report["largest_difference"] < 2e-5 and report["same_word"] == report["steps"] > 16
    files = {path.name: path.stat().st_size for path in out.iterdir()}
    assert files.keys() == {"config.json", "decoder.onnx"} | ({"encoder.onnx"} if name != "lm" else set())
    assert report["bytes"] == sum(files.values()) and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_neurons_that_were_cut(exportable_cut, exportable, capsys, tmp_path):
    cut, whole = (
        export(capsys, path, tmp_path / str(i)) for i, path in enumerate((exportable_cut, exportable("masked")))
    )
    assert cut["same_word"] == cut["steps"] and cut["bytes"] < whole["bytes"] - 4 * 2 * 16 * 10


def test_a_decoder_that_does_not_attend_to_its_encoder(new_run, capsys, tmp_path):
    """As a language model: there is no encoder to write."""
    run = new_run(arch=f"--arch transformer --no-cross-attention {TINY}")
    run.train("--max-update", "2", "--disable-validation")
    report = export(capsys, run.folder / "checkpoint_last.pt", tmp_path / "out")
    assert report["largest_difference"] < 2e-5 and report["same_word"] == report["steps"] > 16
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "decoder.onnx"}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_language_models(name, monolingual, capsys, tmp_path):
    task, arch, options = RECURRENT[name]
    run = Run(tmp_path / "run", monolingual, task, arch)
    run.train("--max-update", "5", *options.split(), "--disable-validation")
    report = export(capsys, run.folder / "checkpoint_last.pt", tmp_path / "out")
    assert report["same_word"] == report["steps"] > 40 and report["largest_difference"] < 2e-5
    steps = Steps(str(tmp_path / "out"))
    tokens = torch.randint(4, 20, (3, 6), generator=torch.Generator().manual_seed(1))
    whole = steps.step(tokens, steps.begin(None, 3))
    feed = steps.begin(None, 3)
    parts = torch.cat([steps.step(part, feed) for part in tokens.split([1, 3, 2], 1)], 1)
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-5)
    feed = steps.begin(None, 3)
    steps.step(tokens[:, :1], feed)
    forgotten = steps.step(tokens[:, 1:], steps.begin(None, 3))  # the control: without the state
    assert (forgotten - whole[:, 1:]).abs().max() > 1e-4


def test_the_loop_of_the_docs_translates_as_fairseq(exportable, counting_lines, capsys, tmp_path, monkeypatch):
    """Greedily, sentences of several lengths at once."""
    export(capsys, exportable("pre-norm"), tmp_path / "exported")
    block = next(b for b in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S) if "onnxruntime" in b)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(block, names)
    texts = (counting_lines / "test.de").read_text().splitlines()
    assert len({len(text.split()) for text in texts}) > 1
    task, _ = load_task(str(exportable("pre-norm")))
    model = load_model(str(exportable("pre-norm")), task).eval()
    expected = []
    generator = task.build_generator([model], Namespace(beam=1, max_len_b=20))
    for text in texts:
        tokens = task.source_dictionary.encode_line(text, add_if_not_exist=False).long()[None]
        sample = {"net_input": {"src_tokens": tokens, "src_lengths": torch.tensor([tokens.shape[1]])}}
        expected.append(task.target_dictionary.string(task.inference_step(generator, [model], sample)[0][0]["tokens"]))
    assert names["translate"](texts, 20) == expected and len(set(expected)) > 3


def test_padding_on_either_side_changes_nothing(exportable, capsys, tmp_path):
    export(capsys, exportable("post-norm"), tmp_path / "out")
    steps = Steps(str(tmp_path / "out"))
    plain, left, right = ([5, 6, 7, 2], [1, 1, 5, 6, 7, 2], [5, 6, 7, 2, 1, 1])
    scores = [steps.step(torch.tensor([[2, 5]]), steps.begin(torch.tensor([row]), 1)) for row in (plain, left, right)]
    assert all(torch.allclose(scores[0], other, atol=1e-5) for other in scores[1:])
    inputs = onnxruntime.InferenceSession(str(tmp_path / "out" / "decoder.onnx")).get_inputs()
    assert {i.name: i.shape for i in inputs}["past_key_0"] == ["batch", 2, "past", 8]


def test_a_wrong_model_is_refused_and_leaves_nothing(exportable, tmp_path, monkeypatch):
    """The negative control of the comparison."""

    def wrong(*args):
        right = read_transformer(*args)
        return replace(right, decoder=replace(right.decoder, factor=4.1))

    monkeypatch.setattr("fairseq_prune.deploy.export.onnx_steps.read_transformer", wrong)
    line = refused("export", exportable("post-norm"), tmp_path / "out", "--to", "onnx", "--batches", "2")
    assert re.search(r"log-probabilities of onnxruntime differ by up to \d.*nothing is written", line)
    assert not list(tmp_path.iterdir())


def test_large_scores_are_rounded_more(exportable, capsys, tmp_path):
    """float32 has no 0.0001 at log-probabilities of -10,000: what counts is their fraction."""

    def enlarge(state):
        state["decoder.layers.0.final_layer_norm.weight"].mul_(3000)

    path = edited(exportable("post-norm"), tmp_path / "large.pt", enlarge)
    report = export(capsys, path, tmp_path / "out")
    assert report["same_word"] == report["steps"] and report["largest_difference"] < 1e-5


def test_mistakes_end_in_one_line(exportable, exportable_cut, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    line = refused("export", exportable("post-norm"), out, "--to", "onnx", "--overwrite")
    assert "not a folder with decoder.onnx, so it is not replaced" in line and not list(out.iterdir())
