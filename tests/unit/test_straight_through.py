"""Losses of selected weights while all of them stay, by hand: movement pruning, hard and soft, and SR-STE."""

import pytest
import torch
from one_layer import Training, X, Y

METHODS = {
    "movement": {"method": "movement", "end": "6up"},
    "soft movement": {"method": "soft_movement", "end": "6up"},
    "sr_ste": {"method": "sr_ste", "target": "2:4", "freeze": "6up"},
}


def test_movement_by_hand():
    """Scores gather -W dL/dW', and what is not selected does not learn."""
    training, scores = Training(**METHODS["movement"]), torch.zeros(6, 8)
    for update in range(6):
        before = training.weight
        dropped = round(48 * 0.5 * (1 - (1 - update / 6) ** 3))
        keep = torch.ones(48, dtype=torch.bool)
        keep[scores.flatten().argsort(stable=True)[:dropped]] = False
        keep = keep.view(6, 8)
        seen, gradient = training.step()
        assert torch.equal(seen, before * keep)
        by_hand = 2 / 16 * (X @ seen.T - Y).T @ X
        assert torch.allclose(gradient, by_hand, atol=1e-5)
        scores -= gradient * before
        assert torch.allclose(training.weight, before - 0.1 * gradient * keep, atol=1e-6)
        assert torch.equal(training.weight[~keep], before[~keep])
    assert (scores[~keep] != 0).all()  # scores learn where weights do not


def test_soft_movement_by_hand():
    """Scores follow Adam down the loss and a penalty; some of those below the threshold are removed, in the end all."""
    settings = {"prune_score_lr": 0.4, "prune_lambda": 3.0}
    training = Training(**METHODS["soft movement"], target="0.3abs", approach=settings)
    scores = torch.zeros(6, 8)
    adam = torch.optim.Adam([scores], lr=0.4)
    removed = []
    for update in range(7):
        below = int((scores.sigmoid() <= 0.3).sum())
        removed.append(round(below * (1 - (1 - update / 6) ** 3)))
        keep = torch.ones(48, dtype=torch.bool)
        keep[scores.sigmoid().flatten().argsort(stable=True)[: removed[-1]]] = False
        keep, before = keep.view(6, 8), training.weight
        seen, gradient = training.step()
        assert torch.equal(seen, before * keep)
        scores.grad = gradient * before + 3 / 48 * scores.sigmoid() * (1 - scores.sigmoid())
        adam.step()
        if update < 6:
            assert torch.allclose(training.weight, before - 0.1 * gradient * keep, atol=1e-6)
            assert training.pruner.metrics["open"] == pytest.approx(float(scores.sigmoid().mean()), abs=1e-5)
    assert removed[0] == 0 < min(removed[4:]) and removed[-1] < 48 and int((training.weight == 0).sum()) == removed[-1]


def test_a_matrix_keeps_something_of_a_threshold():
    training = Training(**METHODS["soft movement"], target="0.999abs")
    for _ in range(8):
        training.step()
    assert int((training.weight != 0).sum()) == 1


def test_sr_ste_by_hand():
    training = Training(approach={"prune_mask_decay": 0.3}, **METHODS["sr_ste"])
    for _ in range(6):
        before = training.weight
        keep = torch.zeros_like(before, dtype=torch.bool)
        keep.view(12, 4).scatter_(1, before.abs().view(12, 4).topk(2).indices, True)
        seen, gradient = training.step()
        assert torch.equal(seen, before * keep)
        assert torch.allclose(training.weight, before - 0.1 * (gradient + 0.3 * ~keep * before), atol=1e-6)
