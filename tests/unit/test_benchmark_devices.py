"""What benchmarks ask of the device that they measure on."""

import argparse
import importlib
import os
import shlex
import subprocess
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


BENCH = Path(__file__).parents[2] / "scripts" / "gpu" / "bench.sh"


def tables(miniature):
    """The command lines of bench.sh."""
    function = f'data=data-bin/demo; source <(sed -n "/^tables() {{/,/^}}/p" {BENCH}); tables'
    env = os.environ | {"MINIATURE": miniature}
    return subprocess.run(["bash", "-c", function], env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("miniature", ["", "1"])
def test_each_benchmark_takes_what_the_script_gives_it(miniature, monkeypatch):
    class Read(Exception):
        """All was understood."""

    def read(parser):
        raise Read(parser.parse_known_args()[1])

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", read)
    lines = [shlex.split(line) for line in tables(miniature).splitlines()]
    assert [words[0] for words in lines].count("training_step.py") == 2
    assert {words[0] for words in lines} == {f"{name}.py" for name in MEASURING}
    for words in lines:
        monkeypatch.setattr(sys, "argv", [*words, "--device", "cpu"])
        with pytest.raises(Read) as caught:
            importlib.import_module(words[0].removesuffix(".py")).main()
        assert caught.value.args == ([],), words
