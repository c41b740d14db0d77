"""Modes for a while, and what is off meanwhile."""

import pytest
import torch
from torch import nn
from torch.backends import cudnn

from fairseq_prune.engine.evaluating import evaluating


@pytest.mark.parametrize(
    ("module", "on"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), True),
        (nn.Sequential(nn.Linear(3, 4), nn.LSTMCell(4, 4)), True),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.LSTM(4, 4)), False),
        (nn.GRU(4, 4), False),
    ],
)
def test_cudnn_is_off_only_where_its_recurrent_layers_have_no_gradient(module, on):
    """Convolutions without cuDNN made SNIP-it's scores 18 times as slow as the passes that they need."""
    module.train()
    with evaluating(module):
        assert cudnn.enabled is on
        assert not any(part.training for part in module.modules())
    assert cudnn.enabled
    assert all(part.training for part in module.modules())


def test_other_choices_of_cudnn_stay(monkeypatch):
    before = {name: not getattr(cudnn, name) for name in ("deterministic", "benchmark", "allow_tf32")}
    for name, value in before.items():
        monkeypatch.setattr(cudnn, name, value)
    with evaluating(nn.LSTM(2, 2)):
        assert {name: getattr(cudnn, name) for name in before} == before
    assert {name: getattr(cudnn, name) for name in before} == before


def test_each_part_is_in_its_own_mode_afterwards():
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    net[1].eval()
    with pytest.raises(ZeroDivisionError), evaluating(net):
        assert torch.equal(net(torch.ones(4, 2)), net(torch.ones(4, 2)))
        raise ZeroDivisionError
    assert [part.training for part in net.modules()] == [True, True, False]
