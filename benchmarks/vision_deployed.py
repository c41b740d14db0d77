"""A cut classifier as it is deployed, against the dense one as it was trained.

The networks of vision_step.py: as fairseq runs them, in TorchScript with folded batch norms and channels last, and in
onnxruntime. They take turns, in one process of one thread; what counts is the time that the thread was on a processor.
"""

import argparse
import copy
import os
import statistics
import tempfile
import time

import onnxruntime
import torch
from vision_step import NETWORKS, WARM_UP, contenders

from fairseq_prune.compat.onnx import write_onnx


def as_trained(net, images):
    """The network itself."""
    return net


def in_torchscript(net, images):
    """Frozen: batch norms are folded into the convolutions."""
    net = copy.deepcopy(net).to(memory_format=torch.channels_last)
    frozen = torch.jit.freeze(torch.jit.trace(net, _last(images), check_trace=False))
    return lambda given: frozen(_last(given))


def in_onnxruntime(net, images):
    """As `fairseq-prune export --to onnx` writes it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        write_onnx(net, {"images": images}, ["scores"], {"images": {0: "batch"}, "scores": {0: "batch"}}, path)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda given: torch.from_numpy(session.run(None, {"images": given.numpy()})[0])


RUNTIMES = {"as trained": as_trained, "TorchScript": in_torchscript, "onnxruntime": in_onnxruntime}


def _last(images):
    return images.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def measure(nets, batch, rounds):
    """Seconds of the processor.

    Args:
        nets: dict of "dense" and "cut" -> network.
        batch: images (count).
        rounds: passes of each (count).

    Returns:
        dict of (dense or cut, runtime) -> list; those at one place were taken in turn.
    """
    images, runs = torch.randn(batch, 3, 32, 32), {}
    for name, net in nets.items():
        right = net.eval()(images)
        for runtime, make in RUNTIMES.items():
            run = runs[name, runtime] = make(net, images)
            torch.testing.assert_close(run(images), right, rtol=0, atol=1e-4 * float(right.abs().max()))
    times = {key: [] for key in runs}
    for step in range(rounds + WARM_UP):
        for key, run in runs.items():
            start = time.thread_time()
            run(images)
            if step >= WARM_UP:
                times[key].append(time.thread_time() - start)
    return times


def two_networks(network):
    """dict of "dense" and "cut" -> network."""
    nets = contenders(network)
    return {"dense": nets["dense"], "cut": nets["cut by us"]}


def gain(times, key):
    """How many times as fast as the dense network as trained: the median over rounds."""
    return statistics.median(dense / own for dense, own in zip(times["dense", "as trained"], times[key], strict=True))


def main():
    """Print for each network, batch and runtime: median ms, and how many times as fast as dense as trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="passes of each")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[64, 1])
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print("| 32 x 32, 1 thread | batch | runtime | dense ms | x | cut ms | x |\n|---|---|---|---|---|---|---|")
    for network in NETWORKS:
        nets = two_networks(network)
        for batch in args.batch_size:
            times = measure(nets, batch, args.rounds)
            for runtime in RUNTIMES:
                keys = [(name, runtime) for name in ("dense", "cut")]
                cells = " | ".join(f"{1e3 * statistics.median(times[k]):.1f} | {gain(times, k):.2f}" for k in keys)
                print(f"| {network} | {batch} | {runtime} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
