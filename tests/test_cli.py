"""The `fairseq-prune` command: finding commands, `inspect` from end to end, one-line errors; scripts/compare.py."""

import json
import os
import pickle
import subprocess
import sys
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import numpy as np
import programs
import pytest
import torch
from small_models import DECODER, ENCODER, build_model

from fairseq_prune import cli
from fairseq_prune.cli.main import command_modules, main
from fairseq_prune.report.cost import count_macs

ROOT = Path(__file__).parent.parent


@pytest.fixture
def saved(tmp_path):
    """A checkpoint as fairseq writes them: Namespace, numpy scalars, optimizer state."""
    model = OrderedDict({"encoder.fc.weight": torch.tensor([[0.0, 1], [2, 3]]), "encoder.fc.bias": torch.ones(2)})
    path = tmp_path / "checkpoint.pt"
    state = {
        "args": None,
        "cfg": {"model": Namespace(arch="my_arch", user_dir="elsewhere")},
        "model": model,
        "extra_state": {"best": np.float64(1.5), "metrics": OrderedDict()},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(4)}}},
    }
    torch.save(state, path)
    return path


def failure(capsys, *words):
    """Run a command that must end with status 1 and one line; return the line."""
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    message = caught.value.code
    assert isinstance(message, str) and "\n" not in message  # Python prints it to stderr, status 1
    assert capsys.readouterr().out == ""
    return message


def test_json(saved, capsys):
    main(["inspect", str(saved), "--json"])
    report = json.loads(capsys.readouterr().out)
    total = report["total"]
    assert (total["params"], total["nonzero"], total["fraction_removed"]) == (6, 5, 1 / 6)
    assert (total["prunable_params"], total["prunable_fraction_removed"]) == (4, 1 / 4)
    assert (total["macs"], total["masked"], total["bytes"]) == (None, 0, saved.stat().st_size)
    assert [row["name"] for row in report["tensors"]] == ["encoder.fc.weight", "encoder.fc.bias"]


def test_table(saved, capsys):
    main(["inspect", "--lengths", "30,20", str(saved)])
    out = capsys.readouterr().out
    assert "30 source, 20 target" in out and "my_arch" in out and "encoder.fc.weight" in out


def test_legacy_flops(saved, capsys):
    message = failure(capsys, "inspect", saved, "--legacy-flops")
    assert message.startswith("--legacy-flops: family 'unknown'") and "e.g. 'transformer'" in message


@pytest.mark.parametrize("lengths", ["25", "25,x", "0,3"])
def test_malformed_lengths(lengths, saved, capsys):
    message = failure(capsys, "inspect", saved, "--lengths", lengths)
    assert message.startswith(f"--lengths '{lengths}'") and "e.g. --lengths 25,25" in message


def test_missing_file(tmp_path, capsys):
    assert "no such file" in failure(capsys, "inspect", tmp_path / "none.pt")


@pytest.mark.parametrize("size", [0, 10, 300, 0.5, 0.99])
def test_truncated_file(size, saved, capsys):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: size if isinstance(size, int) else int(len(whole) * size)])
    assert str(saved) in failure(capsys, "inspect", saved)


@pytest.mark.parametrize("content", [[1, 2], {"weights": 3}, {"model": None}, {"model": 5}], ids=str)
def test_foreign_file(content, saved, capsys):
    torch.save(content, saved)
    assert str(saved) in failure(capsys, "inspect", saved)


def test_text_file_and_folder(tmp_path, capsys):
    (tmp_path / "notes.pt").write_text("no checkpoint\n" * 100)
    assert "notes.pt" in failure(capsys, "inspect", tmp_path / "notes.pt")
    assert str(tmp_path) in failure(capsys, "inspect", tmp_path)


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("save", [torch.save, lambda evil, path: path.write_bytes(pickle.dumps(evil, protocol=2))])
def test_code_in_a_checkpoint_never_runs(save, tmp_path, capsys):
    path, trace = tmp_path / "evil.pt", tmp_path / "executed"
    save({"model": Evil(trace)}, path)
    assert "evil.pt" in failure(capsys, "inspect", path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())
    assert trace.exists()  # negative control: the file is dangerous


@pytest.mark.parametrize(
    "words, name",
    [
        (["export", "a.pt", "", "--to", "onnx"], "OUT"), (["prune", "", "b.pt", "--target", ".5"], "CHECKPOINT"),
        (["average", "a.pt", "", "b.pt"], "CHECKPOINT"), (["sweep", "a.yaml", "--save-dir", ""], "--save-dir"),
        (["plot", "--run", "a.log", ""], "--run"),
    ],
)  # fmt: skip
def test_empty_values(words, name, capsys):
    """Of a variable that is not set. A folder of that name would be the current one."""
    assert failure(capsys, *words) == f"{name} '': is empty; give a value, or see --help for one"


def test_two_figures_in_one_file(tmp_path, capsys):
    words = ["plot", "a.pt", "--sparsity", tmp_path / "a.png", "--structure"]
    line = f"--structure {tmp_path}/../{tmp_path.name}/a.png: is the file of --sparsity, too; give e.g. --structure "
    assert failure(capsys, *words, tmp_path / ".." / tmp_path.name / "a.png") == f"{line}structure.png"
    assert failure(capsys, *words, tmp_path / "b.png").startswith("checkpoint a.pt: no such file")


def test_unknown_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["inspekt"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "unknown command 'inspekt'" in error and "did you mean 'inspect'" in error and "known: " in error


def test_a_command_is_one_more_file(tmp_path, monkeypatch, capsys):
    source = '"""Say a word.\n\nMore."""\n'
    source += 'def add_arguments(parser): parser.add_argument("word")\ndef run(args): print(args.word)\n'
    (tmp_path / "say_it.py").write_text(source)
    (tmp_path / "_shared.py").write_text("raise RuntimeError")
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    assert command_modules()["say-it"] == "say_it"
    assert not {"main", "_shared", "-shared"} & set(command_modules())
    main(["say-it", "hello"])
    assert capsys.readouterr().out == "hello\n"
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    out = capsys.readouterr().out
    assert caught.value.code == 0 and "say-it" in out and "Say a word." in out and "inspect" in out


def test_a_package_that_only_some_models_need(saved, monkeypatch):
    def missing(*args):
        raise ModuleNotFoundError("No module named 'editdistance'", name="editdistance")

    monkeypatch.setattr("fairseq_prune.evaluate.describe.describe_checkpoint", missing)
    with pytest.raises(
        SystemExit,
        match="the module editdistance is missing; install the package that has it, e.g. pip install editdistance",
    ):
        main(["inspect", str(saved)])


@pytest.mark.parametrize("words", [["--help"], ["inspect", "--help"], ["nonsense"]])
def test_start_up_does_not_wait_for_torch(words):
    code = f"""
import sys
from fairseq_prune.cli.main import main
try:
    main({words})
except SystemExit as end:
    print(*{{"torch", "numpy", "fairseq"}} & set(sys.modules), "loaded")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded"


def test_a_reader_that_stops_early_is_no_error(saved, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as output:
        monkeypatch.setattr("sys.stdout", output)
        main(["inspect", str(saved)])
        output.write("more")  # goes nowhere, quietly


def test_a_pruned_run_shows_its_masks(new_run, capsys):
    run = new_run()
    run.train("--prune-method", "magnitude", "--prune-target", "0.5")
    capsys.readouterr()
    main(["inspect", str(run.folder / "checkpoint_last.pt"), "--json"])
    total = json.loads(capsys.readouterr().out)["total"]
    main(["inspect", str(run.folder / "checkpoint_last.pt"), "--json", "--legacy-flops"])
    legacy = json.loads(capsys.readouterr().out)["total"]
    assert legacy.pop("legacy_flops") > 2 * total["macs"] and legacy == total
    assert total["masked"] == round(0.5 * total["prunable_params"])
    assert 0.5 <= total["prunable_fraction_removed"] < 0.51  # a padding row may be zero without a mask
    assert total["family"] == "transformer" and total["macs"] > 0


SPEEDS = {  # what fairseq-generate may print, and what the table then says
    "INFO:x:Translated 1,234 sentences (5,678 tokens) in 1.5s (822.67 sentences/s, 3785.33 tokens/s)": "822.67",
    "S-1\tTranslated 3 sentences (4 tokens) in 1.0s (3.00 sentences/s, 4.00 tokens/s)": "-",
    "Generate test with beam=4: BLEU = 100.00": "-",
}


def test_compare(saved, tmp_path):
    """scripts/compare.py: perfect translations, 1 of 4 weights zero or a Transformer, times unknown."""
    runs, model = [], build_model("transformer", **ENCODER, **DECODER).state_dict()
    torch.save({"model": model}, tmp_path / "transformer.pt")
    for i, line in enumerate(SPEEDS):
        log = tmp_path / f"{i}.log"
        log.write_text("\n".join(f"T-{i}\ta b c d e\nD-{i}\t-0.1\ta b c d e" for i in range(2)) + f"\n{line}\n")
        runs.append(f"run{i}={log}:{saved}")
    words = ["python3", ROOT / "scripts" / "compare.py", *runs, f"run3={log}:{tmp_path / 'transformer.pt'}"]
    done = programs.run([*words, "--lengths", "500,300"]).stdout
    rows = [line.split() for line in done.splitlines()[1:]]
    size, macs = f"{saved.stat().st_size:,}", count_macs(model, 500, 300)[1]
    for i, speed in enumerate(SPEEDS.values()):
        assert rows[i] == [f"run{i}", "100.00", "6", "5", "25.00%", "-", speed, size]
    assert rows[3][5] == f"{macs / 1e9:.4f}" and macs > 1e7
    assert max(map(len, done.splitlines())) <= 100
    assert "seeds" not in done


def test_compare_shows_the_spread_of_seeds(saved, tmp_path):
    runs = []
    for seed, words in ((1, "a b c d e"), (2, "a b c d x")):
        log = tmp_path / f"{seed}.log"
        log.write_text(f"T-0\ta b c d e\nD-0\t-0.1\t{words}\n")
        runs.append(f"one-{seed}={log}:{saved}")
    words = ["python3", ROOT / "scripts" / "compare.py", *runs, f"dense={log}:{saved}"]
    last = programs.run(words).stdout.splitlines()[-1]
    assert last == "one: 83.44 ± 23.43 BLEU over 2 seeds"  # 100 and 66.87


@pytest.mark.parametrize("value", ["-1", "4294967296", "9" * 5000, "one", "1.5"])
def test_seeds(value, capsys):
    for words in (
        ["attack", "a.pt"],
        ["plot", "a.pt"],
        ["prune", "a.pt", "b.pt"],
        ["sipo", "data", "--checkpoint", "a", "--save-dir", "b"],
    ):
        with pytest.raises(SystemExit):
            main([*words, f"--seed={value}"])
        assert "give a whole number in [0, 4294967295], e.g. --seed 1" in capsys.readouterr().err


def test_fairseq_gives_no_advice():
    """As it does at its import, wherever a command imports it; nor does it have others tell their inner lives."""
    lines = "import fairseq_prune, fairseq", "import logging", "tell = logging.getLogger", "tell('PIL').debug('a')"
    command = [sys.executable, "-c", "; ".join([*lines, "tell('PIL').info('b'); tell('fairseq').warning('c')"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "INFO:PIL:b\nWARNING:fairseq:c\n")
