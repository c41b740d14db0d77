"""What a process of the tests is told about the death of others, and who of them still runs."""

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
    """Children of this process that run, dict of pid -> command."""
    pids = [int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip() for pid in pids}
    return {pid: command for pid, command in commands.items() if command and HELPERS not in command}
