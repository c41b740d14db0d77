"""One fairseq-train in two gloo processes."""

import socket
import subprocess


def free_port():
    """A TCP port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def train_on_two(command):
    """Run a training on two ranks.

    Args:
        command: words that start it in one process; paths are fine.

    Returns:
        What each rank printed. If one fails, an AssertionError that shows both.
    """
    distributed = f"""--distributed-world-size 2 --distributed-no-spawn --distributed-backend gloo
        --distributed-init-method tcp://localhost:{free_port()}""".split()
    ranks = [
        subprocess.Popen(
            [*map(str, command), *distributed, "--distributed-rank", str(rank)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    outputs = [rank.communicate(timeout=300)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], outputs[0][-3000:] + outputs[1][-3000:]
    return outputs
