"""What benchmarks ask of the device that they measure on."""

import argparse
import sys
import time
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from devices import Device, add_device  # noqa: E402

MEASURING = ["training_step", "selection", "before_training", "srp_generation", "vision_step", "sipo_evaluation"]


def test_the_cpu_is_the_default_and_says_so_to_fairseq():
    parser = argparse.ArgumentParser()
    add_device(parser)
    device = parser.parse_args([]).device
    assert (device.name, device.words, device.torch.type) == ("CPU", ["--cpu"], "cpu")
    taken, result = device.seconds(lambda: time.sleep(0.05) or "slept")
    assert 0.05 <= taken < 5 and result == "slept"
    assert device.seconds(lambda: time.sleep(0.05), time.thread_time)[0] < 0.05  # the clock is the one asked for
    assert "MiB of memory" in device.memory()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(SystemExit, match="--device cuda: torch finds no GPU here; give --device cpu"):
        Device("cuda")


@pytest.mark.parametrize("name", MEASURING)
def test_benchmarks_take_it_and_report_memory(name):
    source = (BENCHMARKS / f"{name}.py").read_text()
    assert "add_device(parser)" in source and ".memory()" in source
