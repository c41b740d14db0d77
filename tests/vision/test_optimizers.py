"""`--optimizer rmsprop` and `coupled_adam`."""

from functools import partial

import torch
from digits import load, measure, train
from fairseq import optim
from omegaconf import OmegaConf


def stepped(cfg, theirs):
    """Weights after three steps by fairseq's optimizer of a config and by torch's."""
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    ours, theirs = optim.build_optimizer(OmegaConf.structured(cfg), weights[:1]), theirs(weights[1:])
    for step in range(3):
        for weight, optimizer in zip(weights, (ours, theirs), strict=True):
            weight.grad = torch.tensor([1.0, -2.0, step])
            optimizer.step()
    assert not torch.equal(weights[0], torch.ones(3))
    return weights


def test_rmsprop_is_torchs():
    from vision_bridge.optimizers import RMSpropConfig

    settings = {"momentum": 0.5, "weight_decay": 0.1}
    cfg = RMSpropConfig(_name="rmsprop", rmsprop_alpha=0.9, rmsprop_eps=1e-3, lr=[0.1], **settings)
    assert torch.equal(*stepped(cfg, partial(torch.optim.RMSprop, lr=0.1, alpha=0.9, eps=1e-3, **settings)))


def test_coupled_adam_is_torchs():
    """And not AdamW, as which fairseq's adam decays."""
    from vision_bridge.optimizers import CoupledAdamConfig

    cfg = CoupledAdamConfig(_name="coupled_adam", weight_decay=0.1, lr=[0.1])
    assert torch.equal(*stepped(cfg, partial(torch.optim.Adam, lr=0.1, weight_decay=0.1)))
    assert not torch.equal(*stepped(cfg, partial(torch.optim.AdamW, lr=0.1, weight_decay=0.1)))


def test_rmsprop_trains(tmp_path):
    train(tmp_path, "--optimizer", "rmsprop", "--lr", 0.001, "--momentum", 0)
    assert measure(*load(tmp_path / "checkpoint_last.pt"), "test")[0] > 80
