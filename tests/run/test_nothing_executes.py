"""A checkpoint whose config holds code: every command refuses it in one line, and the code never runs."""

import argparse
import importlib

import pytest
import torch
from conftest import USER_DIR, run_fairseq

from fairseq_prune.cli.main import main
from fairseq_prune.compat.config_strings import parsed

CODE = "__import__('os').system('touch PWNED')"
FCONV = "--arch fconv --encoder-embed-dim 8 --decoder-embed-dim 8 --decoder-out-embed-dim 8"
LAYERS = "[(8, 3)] * 2"


@pytest.fixture(scope="module")
def convolutional(module_run):
    run = module_run("fconv", arch=FCONV)
    run.train("--encoder-layers", LAYERS, "--decoder-layers", LAYERS, "--max-update", "2")
    return run


@pytest.fixture(scope="module")
def transformer(module_run):
    run = module_run("transformer")
    run.train("--max-update", "2")
    return run


@pytest.fixture
def hostile(convolutional, transformer, tmp_path, monkeypatch):
    """Write a file of a model with some dead units whose config would make a file PWNED where the tests run."""
    monkeypatch.chdir(tmp_path)

    def write(option):
        state = (convolutional if option == "encoder_layers" else transformer).checkpoint()
        setattr(state["cfg"]["model"], option, CODE)
        for name, value in state["model"].items():
            if ".fc1." in name and "layers" in name:
                value[:4] = 0
        torch.save(state, "hostile.pt")

    return write


def compact(data):
    main(["compact", "hostile.pt", "out.pt", "--data", str(data)])


def inspect(data):
    main(["inspect", "hostile.pt", "--data", str(data)])


def sipo(data):
    main(["sipo", str(data), "--checkpoint", "hostile.pt", "--save-dir", "sipo"])


def by_fairseq(command, *words):
    def run(data):
        run_fairseq(
            command, data, "--user-dir", USER_DIR, "--task", "prune_translation", "--path", "hostile.pt", "--cpu",
            "--max-tokens", "100", *words,
        )  # fmt: skip

    return run


COMMANDS = {
    "inspect": inspect,
    "compact": compact,
    "sipo": sipo,
    "generate": by_fairseq("generate"),
    "validate": by_fairseq("validate", "--valid-subset", "valid"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["encoder_layers", "adaptive_softmax_cutoff"])
def test_code_in_a_config_is_refused(command, option, hostile, parallel, tmp_path):
    hostile(option)
    expected = "never evaluated; give numbers"
    if command == "compact" and option == "encoder_layers":
        expected = "nothing to cut: architecture fconv"  # before it builds a model
    with pytest.raises(SystemExit, match=expected) as refused:
        COMMANDS[command](parallel)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "PWNED").exists()


def test_control_it_would_have_run(hostile, parallel, tmp_path, monkeypatch):
    """With Python's own eval the same file does run its code."""
    hostile("encoder_layers")
    monkeypatch.setattr(importlib.import_module("fairseq.models.fconv"), "eval", eval)
    with pytest.raises(SystemExit, match="TypeError in fconv.py"):
        inspect(parallel)
    assert (tmp_path / "PWNED").exists()


def test_a_good_config_loads(convolutional, parallel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(convolutional.checkpoint(), "hostile.pt")
    COMMANDS["validate"](parallel)


LEGAL = {
    "[(512, 3)] * 20": [(512, 3)] * 20,
    "[(512, 10, 5)] + [(512, 3, 2)] * 2 + [(512,2,2)]": [(512, 10, 5), (512, 3, 2), (512, 3, 2), (512, 2, 2)],
    "2 * [1, 2]": [1, 2, 1, 2],
    "(1,) * 2 + (3,)": (1, 1, 3),
    "[[1] * 2, (2,) + (3,)]": [[1, 1], (2, 3)],
    " True": True,
    "10000,20000": (10000, 20000),
    "(0.9, 1e-3)": (0.9, 1e-3),
    "-1": -1,
    "{'arch': 'x', 'n': [1]}": {"arch": "x", "n": [1]},
}
ILLEGAL = [
    "__import__('os')", "open('x')", "x", "[x for x in (1,)]", "1 + 1", "'a' * 3", "[1] * 10**9", "[1] * 100000",
    "[1] * 2.0", "[1] + (2,)", "[1] * [2]", "(lambda: 1)()", "f'{x}'", "1 if 1 else 2", "", "[", "(" * 10**5,
    "-" * 10**6 + "1", "+".join(["[1]"] * 10**5), "[0] * 9999 + [0] * 9999", "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", LEGAL)
def test_legal_strings(text):
    assert parsed(text) == LEGAL[text] == eval(text)


@pytest.mark.parametrize("text", ILLEGAL, ids=range(len(ILLEGAL)))
def test_illegal_strings(text):
    with pytest.raises(SystemExit, match="config value .*: never evaluated") as refused:
        parsed(text)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 250


def test_fairseq_counts_on_a_type_error():
    from fairseq import utils

    assert utils.eval_bool(True, default="kept") == "kept" and utils.eval_bool("True") is True


def test_a_shell_never_reads_a_file_name(tmp_path):
    from fairseq.data.fasta_dataset import FastaDataset

    (tmp_path / "a;touch PWNED.fasta").write_text(">a\nACGT\n")
    with pytest.raises(SystemExit, match="a shell would read this name"):
        FastaDataset(str(tmp_path / "a;touch PWNED"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a;touch PWNED.fasta"]


@pytest.mark.parametrize("read, end", [(parsed, SystemExit), (eval, TypeError)])  # fairseq 0.12's reader fails later
def test_a_manifest_of_speech_units_does_not_run(read, end, tmp_path, monkeypatch):
    """Of ``prune_speech_unit_modeling``; the control is Python's own eval."""
    from fairseq.data import Dictionary, codedataset

    assert codedataset.eval is parsed
    monkeypatch.setattr(codedataset, "eval", read)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").write_text(f"{{'audio': 'a.wav', 'hubert_km100': '3 3 1', 'duration': {CODE}}}\n")
    with pytest.raises(end, match="never evaluated" if end is SystemExit else None):
        codedataset.parse_manifest("train", Dictionary())
    assert (tmp_path / "PWNED").exists() == (read is eval)


@pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected")
def test_the_variable_that_lets_pickles_run_is_ignored(tmp_path, monkeypatch):
    from fairseq_prune import compat

    torch.save(argparse.Namespace(code=print), tmp_path / "a.pt")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.load(tmp_path / "a.pt")  # runs what it holds
    with pytest.warns(UserWarning, match="is ignored"):
        compat.install()
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(tmp_path / "a.pt")
