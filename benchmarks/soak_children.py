"""fairseq's programs in children of this process, which has imported all they need; and how these are killed."""

import contextlib
import importlib
import itertools
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h: what a killed driver leaves becomes ours, so we can wait for it
LONGEST = 120  # seconds that a run may take


def preload():
    """Import, once, what takes runs most of their time."""
    import fairseq
    import fairseq.trainer
    import fairseq_cli.preprocess
    import fairseq_cli.train
    import sacrebleu
    import sacremoses
    import sklearn.datasets
    import torch
    import torch._dynamo  # which an optimizer imports at its first step
    import torch_pruning
    import torchvision

    import fairseq_prune.cli.main
    from fairseq_prune.drivers import imp, sipo
    from fairseq_prune.engine.run_record import PACKAGE, source_revision

    torch.set_num_threads(1)
    fairseq_prune.register()
    source_revision(PACKAGE)  # asks git, and remembers
    return fairseq, fairseq_cli, sacrebleu, sacremoses, sklearn, torch_pruning, torchvision, imp, sipo


def run_program(program, *words):
    """``fairseq-PROGRAM``, or ``fairseq-prune`` as ``prune``, in this process, which must be a fresh child."""
    words = [str(word) for word in words]
    if program == "prune":
        import torch

        from fairseq_prune.cli.main import main

        if not torch.cuda.is_available():  # a fork of a process that has used a card cannot use it
            _fork_trainings()
        main(words)
    else:
        sys.argv = [f"fairseq-{program}", *words]
        importlib.import_module(f"fairseq_cli.{program}").cli_main()


def _fork_trainings():
    """Drivers start their trainings as new processes; a fork of this one saves the imports."""
    from fairseq_prune.drivers import training

    def run(command, check, preexec_fn):
        child = os.fork()
        if not child:
            preexec_fn()
            _end_with(lambda: run_program("train", *command[3:]))
        return SimpleNamespace(returncode=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    training.subprocess = SimpleNamespace(run=run)


def _end_with(work):
    """Do it and end this process, with the status that Python would have ended with."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if code and error.code != code:
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)


def start(program, words, log, first=lambda: None):
    """Start a program in a child that leads a process group of its own.

    Args:
        program: as :func:`run_program`.
        words: its arguments.
        log: path that its output is added to.
        first: what the child does before.

    Returns:
        The child's process number.
    """

    def work():
        first()
        run_program(program, *words)

    return start_work(work, log)


def start_work(work, log):
    """Call a function in a child that leads a process group of its own and prints to a file; the child's number."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        handle = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(handle, 1), os.dup2(handle, 2)
        _end_with(work)
    with contextlib.suppress(OSError):  # whichever of us is first
        os.setpgid(child, child)
    return child


def finish(child, after=LONGEST):
    """Wait for a child and all it started; kill it when its time is over.

    Args:
        child: from :func:`start`.
        after: seconds until SIGKILL.

    Returns:
        Its status; negative: the signal that ended it.
    """
    end = time.monotonic() + after
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            done = os.waitpid(child, 0)
            break
        time.sleep(0.001)
    with contextlib.suppress(ChildProcessError):  # no more of its group
        while True:
            os.waitpid(-child, 0)
    return os.waitstatus_to_exitcode(done[1])


def run_in_child(program, *words, log=os.devnull):
    """Run a program to its end.

    Raises:
        RuntimeError: it fails.
    """
    if status := finish(start(program, words, log)):
        raise RuntimeError(f"fairseq-{program}: status {status}")


def die_at_sync(number, half):
    """Have this process killed while it saves: files are synced before they get their name, folders after.

    Args:
        number: of the call of ``os.fsync`` at which it dies, from 1.
        half: leave only half of the file.
    """
    calls, sync = itertools.count(1), os.fsync

    def fsync(handle):
        number_now = next(calls)
        handle = handle if isinstance(handle, int) else handle.fileno()
        if number_now == number:
            with contextlib.suppress(OSError):  # a folder
                os.ftruncate(handle, os.fstat(handle).st_size // (2 if half else 1))
            os.kill(os.getpid(), signal.SIGKILL)
        sync(handle)

    os.fsync = fsync


def become_reaper():
    """Have the children of killed children become this process's."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
