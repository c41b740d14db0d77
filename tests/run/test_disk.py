"""What the system refuses to write, from every command: one line that names the option, and nothing left behind."""

import subprocess
import sys
import time

import pytest
from commands import refused
from conftest import Run, words_of

from fairseq_prune.files.locks import LOCK

COLUMNS = words_of("--batch-size 4 --batch-size-valid 2 --tokens-per-sample 7")
QUICK = words_of("--population 2 --generations 2 --max-drop 0.05")
IMP = words_of("""--target 0.5 --train --task prune_image_classification --arch lenet300 --image-size 8
    --max-train-images 16 --criterion image_classification --optimizer sgd --lr 0.05 --max-epoch 1 --cpu""")
COMMAND = "from fairseq_prune.cli.main import main; main()"
FULL, NO_FOLDER = "File too large; free some space, or give another place, e.g. ", "; give a place that can be written"


@pytest.fixture(scope="module")
def language_model(counting, tmp_path_factory):
    """Path of a language model."""
    run = Run(tmp_path_factory.mktemp("lm"), counting, "prune_stateful_language_modeling", "--arch rnn_lm_tiny")
    run.train(*COLUMNS)
    return run.folder / "checkpoint_last.pt"


def line_of(train, *words):
    """The one line in which a training ends."""
    with pytest.raises(SystemExit) as caught:
        train(*words)
    assert "\n" not in caught.value.code
    return caught.value.code


def left(folder):
    """Names of all that is in a folder and in those in it."""
    return sorted(path.name for path in folder.rglob("*"))


class TestFullDisk:
    def test_training(self, new_run, small_disk):
        small_disk(100_000)
        run = new_run()
        line = line_of(run.train, "--encoder-ffn-embed-dim", 2048, "--disable-validation")
        assert line == f"--save-dir {run.folder}: checkpoint_last.pt: {FULL}--save-dir checkpoints/run"
        assert left(run.folder) == ["run.json"]

    def test_what_was_there_stays(self, new_run, small_disk):
        run = new_run()
        run.train("--disable-validation")
        before = (run.folder / "checkpoint_last.pt").read_bytes()
        small_disk(50_000)
        line_of(run.train, "--disable-validation", "--max-update", 16)
        assert (run.folder / "checkpoint_last.pt").read_bytes() == before
        assert left(run.folder) == ["checkpoint_last.pt", "run.json"]

    def test_sipo(self, counting, language_model, tmp_path, small_disk):
        small_disk(10_000)
        line = refused("sipo", counting, "--checkpoint", language_model, "--save-dir", tmp_path / "out", *QUICK)
        assert line == f"--save-dir {tmp_path}/out: pruned-0.pt: {FULL}--save-dir checkpoints/out"
        assert "pruned-0.pt" not in " ".join(left(tmp_path)) and not list(tmp_path.rglob("*.tmp"))

    def test_imp(self, tmp_path, small_disk, trains_here):
        small_disk(10_000)
        line = refused("imp", "synthetic", "--save-dir", tmp_path / "out", *IMP)
        assert line.startswith(f"--save-dir {tmp_path}/out: start.pt: {FULL}")
        assert left(tmp_path / "out") == ["rounds.jsonl"]

    def test_standard_output(self, language_model):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-c", COMMAND, "inspect", language_model, "--json"],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "standard output: No space left on device\n")


class TestNoFolder:
    """A file where a folder should be, and what even root cannot write into."""

    @pytest.fixture(params=["file", "file/below", "/proc/folder"])
    def place(self, request, tmp_path):
        (tmp_path / "file").write_text("")
        yield str(tmp_path / request.param)
        assert left(tmp_path) == ["file"]

    def test_training(self, new_run, place):
        assert line_of(new_run().train, "--save-dir", place).startswith(f"--save-dir {place}: ")

    def test_sipo(self, counting, language_model, place):
        line = refused("sipo", counting, "--checkpoint", language_model, "--save-dir", place, *QUICK)
        assert line.startswith(f"--save-dir {place}: ") and NO_FOLDER in line

    def test_imp(self, place):
        line = refused("imp", "synthetic", "--save-dir", place, *IMP)
        assert line.startswith(f"--save-dir {place}: ") and NO_FOLDER in line

    def test_figures(self, new_run, counting, language_model, place, tmp_path):
        """Of a training, of a search, and of the trainings in a driver: before the folder of results is begun."""
        figures, out = ("--tensorboard-logdir", place), ("--save-dir", tmp_path / "out")
        lines = [
            line_of(new_run("out").train, *figures),
            refused("sipo", counting, "--checkpoint", language_model, *out, *figures, *QUICK),
            refused("imp", "synthetic", *out, *IMP, *figures),
        ]
        for line in lines:
            assert line.startswith(f"--tensorboard-logdir {place}: ") and NO_FOLDER in line

    @pytest.mark.parametrize(
        "words",
        ["prune FILE OUT --target 0.5", "pack FILE OUT", "average FILE FILE OUT", "export FILE OUT --to fairseq"],
    )
    def test_out(self, place, words):
        """Before CHECKPOINT is read, which is not there."""
        line = refused(*words.replace("FILE", "none.pt").replace("OUT", f"{place}/out.pt").split())
        assert line.startswith(f"OUT {place}/out.pt: {place}: ") and line.endswith(
            f"{NO_FOLDER}, e.g. checkpoints/out.pt"
        )


class TestTwoWriters:
    def test_training(self, new_run, held):
        run = new_run()
        process = held(run.folder)
        assert f"--save-dir {run.folder}: process {process.pid} on " in line_of(run.train)
        assert left(run.folder) == [LOCK]

    def test_training_that_saves_nothing(self, new_run, held):
        run = new_run()
        held(run.folder)
        line_of(run.train)
        with pytest.raises(ValueError, match="no such file"):  # it trains, and there is no checkpoint to read
            run.train("--no-save")

    def test_drivers(self, counting, language_model, tmp_path, held):
        held(tmp_path)
        sipo = refused("sipo", counting, "--checkpoint", language_model, "--save-dir", tmp_path, *QUICK)
        imp = refused("imp", "synthetic", "--save-dir", tmp_path, *IMP)
        assert all(line.startswith(f"--save-dir {tmp_path}: process ") for line in (sipo, imp))

    def test_what_a_killed_training_left(self, new_run):
        run = new_run()
        run.folder.mkdir()
        (run.folder / "checkpoint_1_5.pt.tmp").write_bytes(b"half")
        (run.folder / LOCK).write_text("process 1 on elsewhere")
        run.train("--disable-validation")
        assert left(run.folder) == ["checkpoint_last.pt", "run.json"]


HOLD = """
import sys
from fairseq_prune.files.locks import one_writer
with one_writer(sys.argv[1]):
    print(flush=True)
    input()
"""


@pytest.fixture
def held():
    """Let another process write in a folder; it is returned."""
    processes = []

    def hold(folder):
        command = [sys.executable, "-c", HOLD, folder]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        processes[-1].stdout.readline()
        return processes[-1]

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


PARENT = """
import os, subprocess, sys
from fairseq_prune.drivers.child import ends_with
child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
subprocess.run([sys.executable, "-c", child], preexec_fn=ends_with(os.getpid()))
"""


def test_a_child_ends_with_its_killed_parent():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 10
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
