"""`--optimizer rmsprop`."""

import torch
from digits import load, measure, train
from fairseq import optim
from omegaconf import OmegaConf


def test_rmsprop_is_torchs():
    from vision_bridge.rmsprop import RMSpropConfig

    settings = {"momentum": 0.5, "weight_decay": 0.1}
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    cfg = OmegaConf.structured(
        RMSpropConfig(_name="rmsprop", rmsprop_alpha=0.9, rmsprop_eps=1e-3, lr=[0.1], **settings)
    )
    ours = optim.build_optimizer(cfg, weights[:1])
    theirs = torch.optim.RMSprop(weights[1:], lr=0.1, alpha=0.9, eps=1e-3, **settings)
    for step in range(3):
        for weight, optimizer in zip(weights, (ours, theirs), strict=True):
            weight.grad = torch.tensor([1.0, -2.0, step])
            optimizer.step()
    assert torch.equal(*weights) and not torch.equal(weights[0], torch.ones(3))


def test_rmsprop_trains(tmp_path):
    train(tmp_path, "--optimizer", "rmsprop", "--lr", 0.001, "--momentum", 0)
    assert measure(*load(tmp_path / "checkpoint_last.pt"), "test")[0] > 80
