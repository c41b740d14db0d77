"""What became of a case: accepted, refused in one line, or a fault."""

import contextlib
import io
import os
import signal
import sys
import traceback
import zlib
from pathlib import Path

LIMIT = 30  # seconds a case
OUTCOMES = ("accepted", "refused", "tracebacks", "hung", "executed", "changed")
FAULTS = OUTCOMES[2:]


class Hung(BaseException):
    """A case took longer than :data:`LIMIT`."""


class Reached(BaseException):
    """A case came through all checks, to where real work would begin."""


class Judge:
    """Runs cases and counts outcomes.

    Args:
        canary: path of a file that hostile input tries to make.
        good: folders whose files no case may change.
    """

    def __init__(self, canary, good):
        self._canary, self._good = canary, good
        self.faults = []  # (outcome, what was given, what came of it)
        self._before = self._prints()

    def judge(self, what, run, refusals=()):
        """Run a case.

        Args:
            what: was given, for the report.
            run: function without arguments.
            refusals: errors by which it may refuse, in one line, beside ``SystemExit``.

        Returns:
            One of :data:`OUTCOMES`.
        """
        outcome, said = _outcome(run, refusals)
        if os.path.exists(self._canary):
            os.remove(self._canary)
            outcome = "executed"
        if (now := self._prints()) != self._before:
            changed = sorted(
                path for path in now.keys() | self._before.keys() if now.get(path) != self._before.get(path)
            )
            outcome, said, self._before = "changed", f"{said}\n{changed}", now
        if outcome in FAULTS:
            self.faults.append((outcome, what, said))
        return outcome

    def _prints(self):
        """Checksums of all good files, by path."""
        files = (path for folder in self._good for path in sorted(Path(folder).rglob("*")) if path.is_file())
        return {str(path): zlib.crc32(path.read_bytes()) for path in files}


def _outcome(run, refusals):
    try:
        with _limited(), _silent():
            run()
        return "accepted", ""
    except Reached:
        return "accepted", ""
    except Hung:
        return "hung", traceback.format_exc()
    except SystemExit as end:
        return _of_exit(end.code)
    except refusals as error:
        return ("refused", str(error)) if str(error).strip() else ("tracebacks", traceback.format_exc())
    except BaseException:
        return "tracebacks", traceback.format_exc()


def _of_exit(code):
    """argparse has said its line and exits with 2, or 0 after ``--help``; others exit with what they say."""
    if code in (None, 0, 2):
        return "refused" if code == 2 else "accepted", ""
    return ("refused", code) if isinstance(code, str) and _is_line(code) else ("tracebacks", repr(code))


def _is_line(text):
    return bool(text.strip()) and text.isprintable()


@contextlib.contextmanager
def _limited():
    def end(*_):
        raise Hung

    handler = signal.signal(signal.SIGALRM, end)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


@contextlib.contextmanager
def _silent():
    """Commands may print; loggers have been given the streams that there were, and are turned off by the caller."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        sys.stdout.fileno = lambda: os.open(os.devnull, os.O_WRONLY)
        yield
