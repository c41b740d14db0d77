"""What the user-dir adds to the start of fairseq-train."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

USER_DIR = Path(__file__).parent.parent / "fairseq_prune"
ROUNDS = 5


def seconds(*words):
    """Time ``fairseq-train --help`` with further words (s)."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "fairseq_cli.train", *map(str, words), "--help"], check=True, capture_output=True
    )
    return time.perf_counter() - start


def main():
    """Print the medians of alternating runs, and the difference."""
    pairs = [(seconds(), seconds("--user-dir", USER_DIR)) for _ in range(ROUNDS)]
    plain, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    added = statistics.median(b - a for a, b in pairs)
    print("| fairseq-train --help | seconds |\n|---|---|")
    print(f"| plain | {plain:.2f} |\n| with --user-dir fairseq_prune | {ours:.2f} |\n| added | {added:.2f} |")


if __name__ == "__main__":
    main()
