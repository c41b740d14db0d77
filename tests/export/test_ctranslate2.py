"""`fairseq-prune export --to ctranslate2`: it translates what fairseq translates."""

import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch
from commands import refused, reported
from conftest import TINY, run_fairseq
from subword_nmt.learn_bpe import learn_bpe
from validation import validated

from checkpoints import edited
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.export.read import read_transformer
from fairseq_prune.deploy.export.translations import Translations

SCRIPTS = Path(__file__).parents[2] / "scripts"


def export(capsys, *words):
    return reported(capsys, "export", *words, "--to", "ctranslate2", "--batches", "4")


def widths(folder):
    """Neurons of each side as CTranslate2 wrote them; the format is names and shapes before each tensor."""
    raw = (folder / "model.bin").read_bytes()
    shapes = {}
    for side in ("encoder", "decoder"):
        name = f"{side}/layer_0/ffn/linear_0/weight".encode() + b"\0"
        at = raw.index(name) + len(name)
        shapes[side] = int.from_bytes(raw[at + 1 : at + 5], "little")
    return shapes


@pytest.mark.parametrize("name", ["post-norm", "pre-norm", "masked", "srp"])
def test_the_same_translations(exportable, capsys, tmp_path, name):
    report = export(capsys, exportable(name), tmp_path / "out")
    assert (report["sentences"], report["compared"], report["same"]) == (16, 16, 16)
    assert report["largest_difference"] < 1e-5 and report["bleu"][0] == report["bleu"][1]
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert "model.bin" in files and len(list(tmp_path.iterdir())) == 1
    vocabulary = next((tmp_path / "out").glob("*vocabulary.json"))
    assert json.loads(vocabulary.read_text())[:4] == ["<s>", "<blank>", "</s>", "<unk>"]


def test_neurons_that_were_cut_stay_away(exportable_cut, capsys, tmp_path):
    report = export(capsys, exportable_cut, tmp_path / "out")
    assert report["same"] == report["compared"] == 16
    found = widths(tmp_path / "out")
    assert found["encoder"] <= 20 and found["decoder"] == 23


def test_srp_is_as_small_as_it_was_cut(exportable, capsys, tmp_path):
    """And what still stands with connectivity 0 is cut on the way."""
    shrunk = edited(exportable("srp"), tmp_path / "shrunk.pt", lambda state: state["encoder.layers.0.fc_c"][:4].zero_())
    before = load_checkpoint(shrunk)["model"]["encoder.layers.0.fc1.weight"].shape[0]
    report = export(capsys, shrunk, tmp_path / "out")
    assert report["same"] == 16 and widths(tmp_path / "out")["encoder"] == before - 4 < 28


@pytest.fixture(scope="module")
def codes(counting_lines, tmp_path_factory):
    """BPE codes that keep every word whole."""
    path = tmp_path_factory.mktemp("codes") / "learned"
    with open(counting_lines / "train.de") as words, open(path, "w") as file:
        learn_bpe(words, file, 1000)
    return path


def test_plain_text_in_three_lines(exportable, counting_pairs, counting_lines, codes, capsys, tmp_path, monkeypatch):
    """Those of the docs, beside fairseq-generate on the same text."""
    assert export(capsys, exportable("post-norm"), tmp_path / "exported", "--bpe-codes", codes)["bpe_codes"]
    monkeypatch.chdir(tmp_path)
    snippet = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text().split("```python\n")[1].split("```")[0]
    names = {"texts": (counting_lines / "test.de").read_text().splitlines()}
    exec("import ctranslate2, subword_nmt.apply_bpe\n" + snippet, names)  # noqa: S102  (our own docs)
    assert len(snippet.splitlines()) == 3
    every = ["--cpu", "--num-workers", "0", "--required-batch-size-multiple", "1"]
    run_fairseq("generate", counting_pairs, "--path", exportable("post-norm"), "--beam", "5", *every)
    found = re.findall(r"^H-(\d+)\t\S+\t(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert names["translations"] == [words for _, words in sorted(found, key=lambda line: int(line[0]))]
    assert len(set(names["translations"])) > 3


def test_the_demos_row(exportable, counting_lines, codes, capsys, tmp_path):
    """scripts/evaluate_ctranslate2.py writes what scripts/compare.py reads."""
    export(capsys, exportable("post-norm"), tmp_path / "out", "--bpe-codes", codes)
    write, read = (runpy.run_path(SCRIPTS / f"{name}.py") for name in ("evaluate_ctranslate2", "compare"))
    source, reference = ((counting_lines / f"test.{side}").read_text().splitlines() for side in ("de", "en"))
    log = tmp_path / "test.log"
    log.write_text("\n".join(write["log_lines"](tmp_path / "out", source, reference)))
    translations, references = read["read_generate_log"](log)
    assert references == reference and translations == write["translate"](tmp_path / "out", source)[0]
    assert float(read["read_speed"](log)) > 1
    assert read["read_size"](log) == (tmp_path / "out" / "model.bin").stat().st_size
    _, *row = read["describe"]("a", log, exportable("post-norm"), (5, 5))
    assert row[-1] == f"{read['read_size'](log):,}" and float(row[0]) > 20


def test_int8(exportable, capsys, tmp_path):
    whole = export(capsys, exportable("post-norm"), tmp_path / "whole")
    report = export(capsys, exportable("post-norm"), tmp_path / "int8", "--quantization", "int8")
    assert report["quantization"] == "int8" and 1e-4 < report["largest_difference"] < 1
    assert report["compared"] == 16 and len(report["bleu"]) == 2 and report["bleu"][0] == whole["bleu"][0]
    sizes = [(tmp_path / name / "model.bin").stat().st_size for name in ("int8", "whole")]
    assert sizes[0] < 0.9 * sizes[1]  # the table of positions stays as it is


def test_language_model(exportable, counting, capsys, tmp_path):
    report = export(capsys, exportable("lm"), tmp_path / "out")
    assert report["largest_difference"] < 1e-5 and report["sentences"] > 2
    assert report["perplexity"][0] == pytest.approx(report["perplexity"][1], rel=1e-5)
    every = ["--max-tokens", "100", "--required-batch-size-multiple", "1"]
    loss = validated(counting, "prune_language_modeling", exportable("lm"), *every)["loss"]
    assert np.log2(report["perplexity"][0]) == pytest.approx(loss, abs=0.01)


def test_translations_that_never_end(counting_pairs, new_run, capsys, tmp_path):
    """Some run to the limit of the positions; those are scored, not searched."""
    arch = f"--arch transformer --share-all-embeddings --max-target-positions 14 {TINY}"
    new_run("begun", data=counting_pairs, task="translation", arch=arch).train("--max-update", "1")
    report = export(capsys, tmp_path / "begun" / "checkpoint_last.pt", tmp_path / "out")
    assert report["compared"] < report["sentences"] == 16 and report["largest_difference"] < 1e-5


@pytest.mark.parametrize("there", ["", "valid.de-en.de"])
def test_without_sentences_words_are_made_up(exportable, counting_pairs, capsys, tmp_path, there):
    """Without translations there is nothing to score."""
    bare = tmp_path / "data"
    bare.mkdir()
    for path in counting_pairs.glob("*"):
        if path.name.startswith(("dict", "train", there or "train")):
            (bare / path.name).symlink_to(path)
    report = export(capsys, exportable("post-norm"), tmp_path / "out", "--data", bare)
    assert (
        report["sentences"] == 16
        and report["same"] + report["as_good"] == report["compared"] == 16
        and "bleu" not in report
    )


def test_shrinking_is_folded_where_it_can_be(exportable, capsys, tmp_path):
    def halve(state):
        for name in ("encoder.layers.0.fc_c", "decoder.layers.0.encoder_attn_qk_c", "decoder.layers.0.self_attn_vo_c"):
            state[name][::2] = 0.5

    report = export(capsys, edited(exportable("srp"), tmp_path / "half.pt", halve), tmp_path / "out")
    assert report["same"] + report["as_good"] == 16 and report["largest_difference"] < 1e-5
    half = edited(exportable("srp"), tmp_path / "half.pt", lambda state: state["encoder.embedding_c"][:2].mul_(0.5))
    line = refused("export", half, tmp_path / "no", "--to", "ctranslate2")
    assert "encoder.embedding_c: dimensions are in the middle of shrinking" in line


def test_plain_layer_norm_only_of_the_whole_width(exportable, capsys, tmp_path):
    assert export(capsys, exportable("plain"), tmp_path / "out")["same"] == 16
    narrow = edited(exportable("plain"), tmp_path / "narrow.pt", lambda state: state["encoder.embedding_c"][:2].zero_())
    assert "--srp-plain-layernorm: this layer norm" in refused("export", narrow, tmp_path / "no", "--to", "ctranslate2")


@pytest.mark.parametrize("change", [{"factor": 4.1}, {"positions": torch.zeros(1024, 16)}])
def test_a_wrong_model_is_refused_and_leaves_nothing(exportable, tmp_path, monkeypatch, change):
    """The negative control of the comparison."""

    def wrong(*args):
        right = read_transformer(*args)
        return replace(right, encoder=replace(right.encoder, **change))

    monkeypatch.setattr("fairseq_prune.deploy.export.to_ctranslate2.read_transformer", wrong)
    line = refused("export", exportable("post-norm"), tmp_path / "out", "--to", "ctranslate2", "--batches", "2")
    assert re.search(r"does not compute the same: log-probabilities differ by up to \d\.\de.*nothing is written", line)
    assert not list(tmp_path.iterdir())


def test_another_search_is_noticed(exportable, capsys, tmp_path, monkeypatch):
    """Log-probabilities alone would not see it."""

    def narrow(self, *args, **options):
        return translate(self, *args, **{**options, "beam_size": 1})

    translate = ctranslate2.Translator.translate_batch
    monkeypatch.setattr(ctranslate2.Translator, "translate_batch", narrow)
    line = refused("export", exportable("post-norm"), tmp_path / "out", "--to", "ctranslate2", "--batches", "4")
    assert re.search(r"compute the same: [1-9]\d* of 16 translations are worse; nothing is written", line)


def test_mistakes_end_in_one_line(exportable, tmp_path, monkeypatch):
    path, out = exportable("post-norm"), tmp_path / "out"

    def line(*words, to="ctranslate2"):
        return refused("export", path, out, "--to", to, *words)

    assert "unknown value of --to 'ctranslate'; did you mean 'ctranslate2'?" in line(to="ctranslate")
    assert "--quantization int4: unknown; give one of int8" in line("--quantization", "int4")
    assert "--batches 0" in line("--batches", "0")
    assert "--bpe-codes" in line("--bpe-codes", tmp_path / "none") and "two words" in line("--bpe-codes", __file__)
    assert "nowhere: no such folder" in line("--data", tmp_path / "nowhere")
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: {"float32", "int8"})
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    said = line("--quantization", "float16")
    assert "float16: this machine cannot compute it, so it cannot be checked; give int8" in said
    half = tmp_path / "half.pt"
    half.write_bytes(path.read_bytes()[:2000])
    assert "not a readable fairseq checkpoint" in refused("export", half, out, "--to", "ctranslate2")
    half.unlink()
    out.mkdir()
    assert "exists; give another name or --overwrite" in line()
    assert "not a folder with model.bin, so it is not replaced" in line("--overwrite")
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and not list(out.iterdir())


def test_overwrite_and_the_table(exportable, capsys, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.bin").write_text("old")
    (out / "left").write_text("over")
    capsys.readouterr()
    main(["export", str(exportable("post-norm")), str(out), "--to", "ctranslate2", "--batches", "1", "--overwrite"])
    assert re.search(r"same +4\n(.*\n)*bleu +\S+ fairseq, \S+ exported", capsys.readouterr().out)
    assert not (out / "left").exists() and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_checkpoint_that_changes_meanwhile(exportable, tmp_path, monkeypatch):
    path = tmp_path / "moving.pt"
    path.write_bytes(exportable("post-norm").read_bytes())

    def meanwhile(*args):
        path.write_bytes(exportable("masked").read_bytes())
        return Translations(*args)

    monkeypatch.setattr("fairseq_prune.deploy.export.to_ctranslate2.Translations", meanwhile)
    assert "changed while it was exported" in refused("export", path, tmp_path / "out", "--to", "ctranslate2")
    assert [p.name for p in tmp_path.iterdir()] == ["moving.pt"]
