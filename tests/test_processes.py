"""The tests' own guards: no process outlives them, ranks end with the one that forked them, no test runs for ever."""

import os
import signal
import subprocess
import sys
import time

import programs
import pytest
from processes import left_running
from ranks import finished, started


def test_children_and_orphans_are_seen():
    child = subprocess.Popen(["sleep", "60"])
    orphan = int(subprocess.check_output(["sh", "-c", "sleep 61 >/dev/null 2>&1 & echo $!"], text=True))
    try:
        assert left_running() == {child.pid: "sleep 60", orphan: "sleep 61"}
    finally:
        child.kill()
        os.kill(orphan, signal.SIGKILL)
        child.wait()
        os.waitpid(orphan, 0)
    assert not left_running()


def talk_then_sleep(rank):
    print("x" * 10**6, flush=True)  # more than a pipe holds
    if rank == 0:
        time.sleep(60)


def test_ranks_print_much_and_are_ended():
    with started(2, talk_then_sleep) as ranks:
        assert not ranks.wait(1) or ranks.codes[0] is None
        while sum(map(len, ranks.printed)) < 2 * 10**6:
            time.sleep(0.01)
        pid = ranks.processes[0].pid
        os.kill(pid, 0)  # runs
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def fail(rank):
    raise SystemExit(f"rank {rank} says why")


def test_a_failure_shows_what_all_printed():
    with pytest.raises(AssertionError, match="rank 0 says why(.|\n)*rank 1 says why"):
        finished(2, fail)


def test_a_hanging_test_is_ended(tmp_path):
    (tmp_path / "test_it.py").write_text("import time\ndef test_it():\n    time.sleep(60)\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "1", tmp_path / "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1 and "Timeout (>1.0s)" in done.stdout


def test_every_test_has_a_timeout(request):
    assert float(request.config.getini("timeout")) > 0


def test_the_forked_programs_of_a_script_end_as_programs_do():
    script = """
        python3 -c 'import sys; print(sys.stdin.read().strip(), sys.argv[1:], multiprocessing)' a b <<< text
        python3 -c 'import sys; print(sys.stdin.read().strip(), sys.argv[1:])' a b <<< text | cat
        fairseq-prune inspect nowhere.pt; echo "ended with $?"; exit 5"""
    done = programs.run(["bash", "-c", script])
    assert (done.returncode, done.stdout) == (5, "text ['a', 'b']\nended with 1\n")
    assert "NameError: name 'multiprocessing' is not defined" in done.stderr
    assert "\ncheckpoint nowhere.pt: no such file; " in done.stderr
