"""`fairseq-prune export --to fairseq`: checkpoints for fairseq as it is, and for tools that read fairseq's."""

import re
import subprocess
import sys

import ctranslate2
import pytest
import torch
from commands import refused, reported
from conftest import USER_DIR, masks_of, run_fairseq

from checkpoints import edited
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint

ALONE = """
import sys
from fairseq_cli.generate import cli_main
cli_main()
assert "fairseq_prune" not in sys.modules
"""


def export(capsys, *words):
    return reported(capsys, "export", *words, "--to", "fairseq", "--batches", "2")


def translations(printed):
    found = re.findall(r"^(H-\d+)\t\S+\t(.*)$", printed, re.MULTILINE)
    assert len(found) == 12
    return found


def generate(capsys, data, path, task):
    capsys.readouterr()
    run_fairseq("generate", data, "--user-dir", USER_DIR, "--task", task, "--path", path, *EVERY)
    return translations(capsys.readouterr().out)


EVERY = ["--cpu", "--num-workers", "0", "--required-batch-size-multiple", "1", "--skip-invalid-size-inputs-valid-test"]


def test_masked_for_fairseq_alone(exportable, counting_pairs, capsys, tmp_path):
    """fairseq-generate without --user-dir, on today's torch, which refuses fairseq's own files."""
    path, out = exportable("masked"), tmp_path / "plain.pt"
    report = export(capsys, path, out)
    assert (report["architecture"], report["task"], report["largest_difference"]) == ("transformer", "translation", 0)
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(counting_pairs), "--path", str(out), *EVERY]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert translations(done.stdout) == generate(capsys, counting_pairs, path, "prune_translation")

    before, after = load_checkpoint(path), load_checkpoint(out)
    assert masks_of(before) and not masks_of(after)
    assert all(torch.equal(after["model"][name], value) for name, value in before["model"].items())
    assert "PruneTranslationTask" in before["extra_state"] and "PruneTranslationTask" not in after["extra_state"]
    assert not [key for group in after["cfg"].values() for key in group or () if key.startswith("prune")]


def test_neurons_cut_by_the_same_number(exportable, capsys, tmp_path):
    """The config gets the width; other widths in other layers are refused, by name."""

    def narrow(state):
        for side in ("encoder", "decoder"):
            block = f"{side}.layers.0"
            for name, value in ((n, state[f"{block}.{n}"]) for n in ("fc1.weight", "fc1.bias", "fc2.weight")):
                state[f"{block}.{name}"] = value[:, :20].clone() if name == "fc2.weight" else value[:20].clone()
        state._metadata[""].clear()

    narrowed = edited(exportable("masked"), tmp_path / "narrow.pt", narrow)
    assert export(capsys, narrowed, tmp_path / "out.pt")["largest_difference"] < 1e-6
    cfg = load_checkpoint(tmp_path / "out.pt")["cfg"]["model"]
    assert (cfg["encoder_ffn_embed_dim"], cfg["decoder_ffn_embed_dim"], cfg["encoder_embed_dim"]) == (20, 20, 16)


def test_srp_before_its_cut_is_a_stock_model(exportable, counting_pairs, capsys, tmp_path):
    out = tmp_path / "out.pt"
    report = export(capsys, exportable("plain"), out)
    assert (report["architecture"], report["task"]) == ("transformer", "translation")
    state = load_checkpoint(out)["model"]
    assert not [name for name in state if name.endswith(("_c", "pos_emb_mask", "weighted_layer_norm"))]
    expected = generate(capsys, counting_pairs, exportable("plain"), "srp_translation")
    assert generate(capsys, counting_pairs, out, "translation") == expected


def test_language_model(exportable, capsys, tmp_path):
    report = export(capsys, exportable("lm"), tmp_path / "out.pt")
    assert (report["architecture"], report["task"]) == ("transformer_lm", "language_modeling")


def test_ctranslate2s_own_converter_reads_it(exportable, counting_pairs, capsys, tmp_path):
    """Without trusting the file. What it makes is what our exporter makes."""
    from ctranslate2.converters import FairseqConverter

    export(capsys, exportable("masked"), tmp_path / "plain.pt")
    FairseqConverter(str(tmp_path / "plain.pt"), str(counting_pairs)).convert(str(tmp_path / "theirs"))
    main(["export", str(exportable("masked")), str(tmp_path / "ours"), "--to", "ctranslate2", "--batches", "1"])
    sentences = [["w3", "w3"], ["w1"] * 4]
    runtimes = [ctranslate2.Translator(str(tmp_path / name)) for name in ("theirs", "ours")]
    theirs, ours = ([r.hypotheses for r in runtime.translate_batch(sentences)] for runtime in runtimes)
    assert theirs == ours


@pytest.mark.parametrize(
    "name, edit, reason",
    [
        ("srp", None, r"embed_tokens.weight is \d+x\d+; fairseq's transformer has \d+x16 there"),
        ("plain", {"encoder.layers.0.self_attn_vo_c": 0.0}, r"v_proj.weight is 14x16; fairseq's transformer has 16x16"),
        ("plain", {"decoder.layers.0.fc_c": 0.5}, "decoder.layers.0.fc_c: units are in the middle of shrinking"),
    ],
)
def test_what_stock_architectures_cannot_be(exportable, tmp_path, name, edit, reason):
    path = exportable(name)
    for entry, value in (edit or {}).items():
        path = edited(path, tmp_path / "edited.pt", lambda state, e=entry, v=value: state[e][::8].fill_(v))
    assert re.search(reason, refused("export", path, tmp_path / "out.pt", "--to", "fairseq"))
    assert not (tmp_path / "out.pt").exists()


def test_options_of_other_targets_are_refused(exportable, tmp_path):
    words = ["export", exportable("masked"), tmp_path / "out.pt", "--to", "fairseq"]
    for option in ("--quantization int8", "--bpe-codes x"):
        line = f"{option}: has no effect here; leave it out, or give e.g. --to ctranslate2"
        assert refused(*words, *option.split()) == line


def test_cut_attention_is_refused_by_name(exportable_cut, tmp_path):
    """fairseq's own heads fill the width of the stream."""
    line = refused("export", exportable_cut, tmp_path / "out.pt", "--to", "fairseq")
    assert "self_attn.k_proj.weight is 8x16; fairseq's transformer has 16x16 there, whatever its options; see" in line
