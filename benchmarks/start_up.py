"""What the user-dir adds to the start of fairseq-train."""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

USER_DIR = Path(__file__).parent.parent / "fairseq_prune"
ROUNDS = 5
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(*words):
    """Processor time of ``fairseq-train --help`` with further words (s), which other programs do not lengthen."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "fairseq_cli.train", *map(str, words), "--help"]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    """Print the medians of alternating runs, and the difference."""
    ours = "--user-dir", USER_DIR, "--task", "prune_translation"
    seconds(*ours)  # compiles what is new
    rounds = [(seconds(), seconds(*ours[:2]), seconds(*ours)) for _ in range(ROUNDS)]
    columns = list(zip(*rounds, strict=True))
    names = "plain", "with --user-dir fairseq_prune", "and --task prune_translation"
    print("| fairseq-train --help | seconds | added |\n|---|---|---|")
    for name, column in zip(names, columns, strict=True):
        added = statistics.median(b - a for a, b in zip(columns[0], column, strict=True))
        print(f"| {name} | {statistics.median(column):.2f} | {added:.2f} |")


if __name__ == "__main__":
    main()
