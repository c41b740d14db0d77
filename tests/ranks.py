"""Several gloo processes, forked from one that has imported everything: an import takes 5 s, a fork none."""

import contextlib
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing import connection
from pathlib import Path

import torch
from conftest import USER_DIR
from processes import die_with_parent

CONTEXT = multiprocessing.get_context("forkserver")
SLOW = ["fairseq_cli.train", "fairseq_prune", "torch.distributed.fsdp", "torch_pruning"]
CONTEXT.set_forkserver_preload([*SLOW, "torch._dynamo"])  # the last an optimizer imports at its first step


class Ranks:
    """Processes that have been started together, what they print going to files."""

    def __init__(self, processes, files):
        self.processes, self._files = processes, files

    @property
    def printed(self):
        """What each has printed so far."""
        return [file.read_text() for file in self._files]

    @property
    def codes(self):
        """Exit codes; None of those that are running."""
        return [process.exitcode for process in self.processes]

    def wait(self, seconds=120):
        """Until all have ended, at most so long; True if they have."""
        end = time.monotonic() + seconds
        while running := [p.sentinel for p in self.processes if p.exitcode is None]:
            if not connection.wait(running, max(0, end - time.monotonic())):
                return False
        return True


@contextlib.contextmanager
def started(count, body, *args):
    """Run ``body(rank, *args)``, which can be pickled, in each of several processes; none of them outlives the block.

    Gives their :class:`Ranks`.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(rank) for rank in range(count)]
        processes = [CONTEXT.Process(target=_run, args=(file, body, rank, *args)) for rank, file in enumerate(files)]
        try:
            for file, process in zip(files, processes, strict=True):
                file.touch()
                process.start()
            yield Ranks(processes, files)
        finally:
            for process in processes:
                if process.pid:
                    process.kill()
                    process.join()


def _run(file, body, rank, *args):
    """In the new process: it dies with the one that forked it, and prints to a file."""
    die_with_parent()
    multiprocessing.set_start_method("fork", force=True)  # a data loader's workers are this process's, as ever
    out = os.open(file, os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    body(rank, *args)


def finished(count, body, *args):
    """What each of several processes printed that ran ``body`` to its end; a failure shows it."""
    with started(count, body, *args) as ranks:
        ended = ranks.wait()
        assert ended and not any(ranks.codes), "\n".join([str(ranks.codes), *(text[-3000:] for text in ranks.printed)])
        return ranks.printed


def train(rank, words, loggers=()):
    """``fairseq-train`` as one rank; fairseq silences all loggers but the first rank's, save those that are named."""
    from fairseq_cli.train import cli_main

    for name in loggers:
        logging.getLogger(name).setLevel(logging.INFO)
    sys.argv = ["fairseq-train", *words, "--distributed-rank", str(rank)]
    cli_main()
    assert not torch.distributed.is_initialized()  # else a thread of the group may outlive the rank


def distributed(count, folder):
    """Options of ranks that meet at a file, which needs no free port."""
    return f"""--distributed-world-size {count} --distributed-no-spawn --distributed-backend gloo
        --distributed-init-method file://{folder}/meet""".split()


def train_on(count, words, loggers=("fairseq_prune.engine.pruner",)):
    """``fairseq-train`` with an argument list on several ranks; returns what each printed."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*map(str, words), "--user-dir", USER_DIR, *distributed(count, folder)]
        return finished(count, train, words, loggers)
