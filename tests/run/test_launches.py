"""What a GPU pays for in a training step: launches, and results that are waited for. Counted, so on any machine."""

import contextlib
import logging
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from launches import CONTENDERS, TAUGHT, Count, count_step  # noqa: E402

from fairseq_prune.distillation.teacher import Teacher  # noqa: E402
from fairseq_prune.methods.movement import MovementScores  # noqa: E402
from fairseq_prune.pruning import devices  # noqa: E402

PLAIN, *OTHERS = (name for name in CONTENDERS if name != TAUGHT)


@pytest.fixture(scope="module")
def plain(parallel):
    return count_step(parallel, PLAIN)


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", OTHERS)
def test_a_step_launches_little_more_than_plain_and_waits_for_nothing_more(parallel, plain, name):
    step = count_step(parallel, name)
    assert step.kernels <= CONTENDERS[name][-1] * plain.kernels
    assert step.waits == plain.waits


@pytest.mark.filterwarnings("ignore:.*CUDA.*", "ignore:.*GradScaler.*")
def test_amp_asks_once_whether_the_step_will_be_taken(parallel):
    """Not of every gradient."""
    plain, step = (
        count_step(parallel, name, precision="--amp") for name in (PLAIN, "movement, selected at every update")
    )
    assert step.waits == plain.waits + 1
    assert step.kernels <= 1.15 * plain.kernels


def test_a_teacher_costs_its_forward_pass_and_the_divergence(parallel, plain, monkeypatch):
    passes, beside = [], Teacher.beside

    def beside_counted(self, student):
        model = beside(self, student)

        def forward(*given, **named):
            with Count() as count:
                output = type(model).forward(model, *given, **named)
            passes.append(count)
            return output

        model.forward = forward
        return model

    monkeypatch.setattr(Teacher, "beside", beside_counted)
    taught = count_step(parallel, TAUGHT)
    assert taught.kernels - plain.kernels - passes[-1].kernels <= 36  # half of them log
    assert taught.kernels <= CONTENDERS[TAUGHT][-1] * plain.kernels
    assert taught.waits == plain.waits + passes[-1].waits + 1  # for the log


def test_control_a_planted_wait_and_planted_launches_are_seen(parallel, plain, monkeypatch):
    before_step = MovementScores.before_step

    def waits(self, optimizer):
        before_step(self, optimizer)
        for score in self._scores.values():
            score.mul_(1)
        assert score.sum().item() == score.sum().item()

    name = "movement, selected at every update"
    without = count_step(parallel, name)
    monkeypatch.setattr(MovementScores, "before_step", waits)
    planted = count_step(parallel, name)
    assert planted.waits == without.waits + 2
    assert planted.kernels > without.kernels + 90  # matrices of 6 + 6 layers
    assert planted.waits != plain.waits


def test_control_as_on_a_host_selections_do_wait(parallel, plain, monkeypatch):
    monkeypatch.setattr("launches.as_on_a_gpu", contextlib.nullcontext)
    assert count_step(parallel, "movement, selected at every update").waits > plain.waits
    assert devices.HOSTS == {"cpu"}


def test_a_list_is_one_launch_and_a_view_is_none():
    tensors = [torch.ones(3) for _ in range(5)]
    with Count() as count:
        torch._foreach_mul_(tensors, 2)
        tensors[0].view(1, 3)
    assert (count.kernels, count.waits) == (1, 0)
    with Count() as count:
        for tensor in tensors:
            tensor.mul_(2)
        bool(tensors[0].sum() > 1)
    assert count.kernels == 5 + 3 and count.waits == 1
