"""Bash scripts and programs whose Python is forked from a process that has imported everything, as ranks are.

An import of fairseq takes 5 s; a script of SiPO's calls for it a dozen times.
"""

import contextlib
import json
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import traceback
from multiprocessing.reduction import DupFd
from pathlib import Path

from processes import die_with_parent
from ranks import CONTEXT

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from soak_children import run_program  # noqa: E402  (also forks what the drivers start)

PROGRAMS = {f"fairseq-{name}": name for name in ("train", "preprocess", "generate", "validate", "prune")}
BIN = Path(sys.executable).parent
# Stands for a program: asks for a fork that does its work, and ends as that does.
STAND_IN = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect({address!r})
    request = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)])
    socket.send_fds(server, [request.encode()], [0, 1, 2])
    sys.exit(int(server.recv(10) or 1))
"""


class _Files:
    """Open files that go to another process."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __reduce__(self):
        return _arrived, ([DupFd(number) for number in self.numbers],)


def _arrived(files):
    return _Files([file.detach() for file in files])


def run(command, environment=None, folder=None):
    """Run a command in an activated environment where Python and fairseq's programs are forks.

    Args:
        command: list of words; the first may be one of those programs.
        environment: dict of all variables; None: this process's.
        folder: to run it in.

    Returns:
        ``subprocess.CompletedProcess`` with text in ``stdout`` and ``stderr``.
    """
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(f"{place}/socket")
        server.listen()
        for name in (*PROGRAMS, "python3", "subword-nmt"):
            file = Path(place, name)
            file.write_text(STAND_IN.format(python=sys.executable, address=f"{place}/socket", name=name))
            file.chmod(0o755)
        environment = dict(os.environ if environment is None else environment)
        environment["PATH"] = os.pathsep.join([place, str(BIN), environment["PATH"]])
        with open(f"{place}/out", "w+") as out, open(f"{place}/err", "w+") as err:
            words = [_found(str(word), place) for word in command]
            process = subprocess.Popen(words, stdout=out, stderr=err, env=environment, cwd=folder)
            try:
                _serve(server, process)
            finally:
                process.kill()
            out.seek(0), err.seek(0)
            return subprocess.CompletedProcess(words, process.wait(), out.read(), err.read())


def _found(word, place):
    return f"{place}/{word}" if word in PROGRAMS or word == "python3" else word


def _serve(server, process):
    """Fork what is asked for until the process has ended, one at a time."""
    server.settimeout(0.02)
    while process.poll() is None:
        with contextlib.suppress(TimeoutError):
            client, _ = server.accept()
            with client:
                request, files, *_ = socket.recv_fds(client, 1 << 20, 3)
                fork = CONTEXT.Process(target=_work, args=(*json.loads(request), _Files(files)))
                fork.start()
                for number in files:
                    os.close(number)
                try:
                    fork.join()
                finally:
                    fork.kill()
                client.send(str(fork.exitcode & 255).encode())


def _work(name, words, folder, environment, files):
    """In the fork: be that program."""
    die_with_parent()
    multiprocessing.set_start_method("fork", force=True)  # of what it starts, as ever
    for number, file in enumerate(files.numbers):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # multiprocessing has closed it
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with _like_python():
        if name in PROGRAMS:
            run_program(PROGRAMS[name], *words)
        elif words[0] == "-c" and name == "python3":
            sys.argv = words[:1] + words[2:]
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = words if name == "python3" else [str(BIN / name), *words]
            sys.path.insert(0, str(Path(sys.argv[0]).parent))
            runpy.run_path(sys.argv[0], run_name="__main__")


@contextlib.contextmanager
def _like_python():
    """An error is printed whole."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        sys.exit(1)
