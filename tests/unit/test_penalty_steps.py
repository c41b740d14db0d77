"""A growing penalty, and what else acts behind a step, step by step: by hand with Adam, and where AMP skips one."""

import math

import pytest
import torch
from fairseq import optim
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf
from one_layer import Optimizer, Training, X, Y
from torch.nn import functional as F

from fairseq_prune.pruning.times import Position

GROWS = {
    "method": "greg1", "units": "weight", "approach": {"update_reg_interval": 1, "reg_granularity_prune": 0.25},
}  # fmt: skip
BEHIND = {
    "greg1": GROWS,
    "hoyer": {"method": "hoyer_square", "end": "6up"},
    "gates": {"method": "skeleton", "units": "row", "end": "6up"},
    "movement": {"method": "soft_movement", "end": "6up"},
}


def test_the_penalty_decays_behind_adams_step():
    """By the learning rate times the factor, those that are removed alone; as AdamW does."""
    training = Training(**GROWS)
    training.optimizer = Optimizer(torch.optim.Adam(training.model.parameters(), lr=0.03))
    by_hand = torch.nn.Parameter(training.weight)
    adam = torch.optim.Adam([by_hand], lr=0.03)
    removed = torch.zeros(48, dtype=torch.bool)
    removed[training.weight.abs().flatten().argsort()[:24]] = True
    for change in range(1, 5):
        _, by_hand.grad = training.step()
        adam.step()
        by_hand.data[removed.view(6, 8)] *= 1 - 0.03 * 0.25 * change
        assert torch.allclose(training.weight, by_hand.detach(), atol=1e-6)
    assert training.pruner.metrics["penalty"] == 1.0 and not training.pruner.masks


@pytest.fixture
def with_amp(monkeypatch):
    """Make trainings with Adam under AMP, whose scaler works on the CPU here."""
    scaler = lambda **options: torch.amp.GradScaler("cpu", **options)  # noqa: E731
    monkeypatch.setattr(torch.cuda.amp, "GradScaler", scaler)
    cfg = OmegaConf.structured(FairseqConfig())
    cfg.optimizer = {
        "_name": "adam", "lr": [0.03], "adam_betas": "(0.9,0.9)", "adam_eps": 1e-8, "weight_decay": 0.0, "tpu": False,
        "use_old_adam": False, "fp16_adam_stats": False,
    }  # fmt: skip
    cfg.common.amp, cfg.common.fp16_init_scale = True, 16

    def make(**options):
        training = Training(**options)
        training.optimizer = optim.AMPOptimizer.build_optimizer(cfg, list(training.model.parameters()))
        return training

    return make


def step(training, factor):
    """One step under AMP; an infinite factor of the loss makes the scaler skip it."""
    pruner, optimizer, position = training.pruner, training.optimizer, Position(0, training.updates)
    pruner.before_update(optimizer, position)
    optimizer.zero_grad()
    with pruner.in_training():
        optimizer.backward(F.mse_loss(training.model(X), Y, reduction="sum") * factor / 16)
    pruner.after_backward()
    optimizer.clip_grad_norm(0.0)
    pruner.before_step(optimizer)
    optimizer.step()
    pruner.after_step(optimizer, position)
    training.updates += math.isfinite(factor)


@pytest.mark.filterwarnings("ignore:.*GradScaler.*")
@pytest.mark.parametrize("method", BEHIND)
def test_nothing_acts_on_a_step_that_amp_skips(with_amp, method):
    """Neither on the weights nor on what the approach learns of its own."""
    training = with_amp(**BEHIND[method])
    for _ in range(3):
        step(training, 1.0)
    before = training.weight
    step(training, float("inf"))
    seen = training.validated()
    for _ in range(5):
        step(training, float("inf"))
    assert torch.equal(training.weight, before) and torch.equal(training.validated(), seen)
    step(training, 1.0)
    assert not torch.equal(training.weight, before)  # control


def trained_to_the_end(seed, **options):
    """Prune a layer at the least squares' weights.

    Returns how many times larger kept weights were, update by update, the mask, and the loss once the others are gone.
    """
    training = Training(lr=0.05, scope="layer", **options)
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(seed))
    y = torch.randn(16, 6, generator=torch.Generator().manual_seed(100 + seed))
    training.model.weight.data = torch.linalg.lstsq(x, y).solution.T.contiguous()
    removed = torch.zeros(48, dtype=torch.bool)
    removed[training.weight.abs().flatten().argsort()[:24]] = True
    ratios, removed = [], removed.view(6, 8)
    while training.pruner.pending:
        now = training.weight.abs()
        ratios.append(float(now[~removed].mean() / now[removed].mean()))
        training.step(x, y)
    loss = F.mse_loss(training.model(x), y)
    return ratios, training.pruner.masks["weight"], float(loss)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kept_weights_move_away_and_the_loss_is_lower_than_at_once(seed):
    """GReg's point: the same weights are removed, but little is left of them and the others have made up for it."""
    grows = {"update_reg_interval": 5, "reg_granularity_prune": 0.1, "stabilize_reg_interval": 10}
    once, mask_at_once, loss_at_once = trained_to_the_end(seed, method="magnitude", start="0up")
    ratios, mask, loss = trained_to_the_end(seed, method="greg1", units="weight", approach=grows)
    assert torch.equal(mask, mask_at_once)
    assert once[0] == pytest.approx(ratios[0]) and ratios[0] < ratios[5] < ratios[20] < ratios[-1] and len(ratios) > 50
    assert loss < loss_at_once


def test_a_common_penalty_tells_the_curvature():
    """Of h (w - a)^2 / 2 weights settle at h a / (h + penalty): what counts least is picked, however large at first."""
    curvature = torch.linspace(0.2, 2, 48)[torch.randperm(48, generator=torch.Generator().manual_seed(1))].view(6, 8)
    options = {"update_reg_interval": 40, "reg_granularity_pick": 0.125, "reg_upper_limit_pick": 0.75}
    training = Training(method="greg2", units="weight", lr=0.4, approach=options)
    training.model.weight.data = 1 - 1e-3 * curvature  # by magnitude, those of most curvature would be removed
    spreads = []
    for update in range(240):
        training.step(loss=lambda weight: (curvature * (weight - 1).square()).sum() / 2)
        if update % 40 == 39:
            penalty = training.pruner.metrics["penalty"]
            assert penalty == 0.125 * (update + 1) / 40
            assert torch.allclose(training.weight, curvature / (curvature + penalty), atol=3e-3)
            spreads.append(float(training.weight.std() / training.weight.mean()))
    assert spreads == sorted(spreads) and 0.05 < spreads[0] < spreads[-1] < float(curvature.std() / curvature.mean())
    least = torch.zeros(48, dtype=torch.bool)
    least[curvature.flatten().argsort()[:24]] = True
    before = training.weight
    training.step(loss=lambda weight: 0 * weight.sum())
    assert torch.equal((training.weight < before).flatten(), least)  # the others are drawn up now
