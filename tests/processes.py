"""What a process of the tests is told about the death of others, and who of them still runs."""

import contextlib
import ctypes
import signal
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
HELPERS = "from multiprocessing."  # Python's fork server and resource tracker end with this process


def die_with_parent():
    """Let this process be killed when the one that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans():
    """Become the parent of what this process's children leave behind."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def left_running():
    """What this process and its children have started and still runs, dict of pid -> command."""
    own = {pid: _command(pid) for pid in _children("self")}
    found, ahead = {pid: command for pid, command in own.items() if HELPERS not in command}, [*own]
    for pid in ahead:  # which grows
        below = {child: _command(child) for child in _children(pid)}
        found |= below
        ahead += below
    return {pid: command for pid, command in found.items() if command}


def _children(pid):
    with contextlib.suppress(FileNotFoundError):  # ended meanwhile
        return [int(pid) for file in Path(f"/proc/{pid}/task").glob("*/children") for pid in file.read_text().split()]
    return []


def _command(pid):
    """Empty once it has ended."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    return ""
