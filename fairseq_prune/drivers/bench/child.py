"""A :class:`~.trial.Trial` in a process of its own, and the other end of it.

As a program (``python -m`` this module, REQUEST) it answers lines of standard input, each ``[method, arguments]`` in
JSON, by lines of JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from ..child import ends_with


class Child:
    """Asks a trial in another process; methods as :class:`~.trial.Trial`'s.

    Args:
        request: of the trial.
    """

    def __init__(self, request: dict[str, Any]):
        self._said = tempfile.TemporaryFile("w+")  # a pipe would fill up
        words = [sys.executable, "-m", __name__, json.dumps(request)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
            preexec_fn=ends_with(os.getpid()),
        )  # fmt: skip

    def units(self, size: int) -> list[int]:
        """As the trial's."""
        return self._ask("units", size)

    def seconds(self, beam: int, size: int, index: int) -> float:
        """As the trial's."""
        return self._ask("seconds", beam, size, index)

    def quality(self, size: int) -> dict[str, float]:
        """As the trial's."""
        return self._ask("quality", size)

    def memory(self) -> dict[str, int]:
        """As the trial's."""
        return self._ask("memory")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _ask(self, method, *arguments):
        """An answer.

        Raises:
            ValueError: the process has ended.
        """
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps([method, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # then it says nothing either
        if answer := self._process.stdout.readline():
            return json.loads(answer)
        status = self._process.wait()
        self._said.seek(0)
        last = (self._said.read().strip() or "no message").splitlines()[-1]
        raise ValueError(f"stopped with status {status}: {last}")


def _serve(request):
    """Answer until the other end is closed; whatever else prints does so on standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from ... import register
    from .trial import Trial

    register()
    trial = Trial(request)
    for line in sys.stdin:
        method, arguments = json.loads(line)
        answers.write(json.dumps(getattr(trial, method)(*arguments)) + "\n")


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
