"""Wanda, RIA and SparseGPT on one layer, against the formulas written out."""

import pytest
import torch

from fairseq_prune.pruning.calibration.inputs import Inputs, as_matrix, as_weight
from fairseq_prune.pruning.calibration.reconstruct import DAMPING, inverse_factor, reconstruct
from fairseq_prune.pruning.calibration.scores import INPUT_SCORES
from fairseq_prune.pruning.selecting.by_columns import OfEvery, Share
from fairseq_prune.pruning.selecting.outputs import ranks_in_rows


def random(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, W = random(40, 10) @ random(10, 10, seed=2), random(6, 10, seed=3)  # inputs that depend on each other
X[:, 4] *= 5  # as outliers of language models
HESSIAN = X.T @ X


def inputs_of(rows, paired=True):
    found = Inputs.none(rows, 1, rows.shape[1], paired)
    for part in rows.split(15):
        found.add(part.unsqueeze(0))
    return found


def scored(importance, weight=W, rows=X):
    return INPUT_SCORES[importance].score(weight.unsqueeze(0), inputs_of(rows))[0]


def test_wanda_by_hand():
    for i in range(6):
        for j in range(10):
            by_hand = abs(W[i, j]) * (sum(x**2 for x in X[:, j]) / 40) ** 0.5  # the published scaler is a mean, too
            assert scored("wanda")[i, j] == pytest.approx(float(by_hand))


def test_ria_by_hand():
    size = W.abs()
    for i in range(6):
        for j in range(10):
            share = size[i, j] / size[i].sum() + size[i, j] / size[:, j].sum()
            by_hand = share * ((X[:, j] ** 2).sum() / 40) ** 0.25  # the root of the norm
            assert scored("ria")[i, j] == pytest.approx(float(by_hand))


def inverse_of_rest(column):
    """The inverse Hessian of the weights from a column on; those before are settled."""
    damped = HESSIAN + DAMPING * HESSIAN.diagonal().mean() * torch.eye(10, dtype=torch.float64)
    return torch.inverse(damped[column:, column:])


def naive_obs(keep_of, block):
    """Optimal brain surgeon, weight by weight, inverting anew for each (Hassibi & Stork 1993, eq. 5)."""
    weight, keep = W.clone(), torch.ones_like(W, dtype=torch.bool)
    for start in range(0, 10, block):
        those = range(start, min(start + block, 10))
        scores = torch.stack([weight[:, c] ** 2 / inverse_of_rest(c)[0, 0] for c in those], 1)
        keep[:, start : those.stop] = keep_of(scores, slice(start, those.stop))
        for c in those:
            inverse = inverse_of_rest(c)
            for row in range(6):
                if not keep[row, c]:
                    weight[row, c:] = weight[row, c:] - weight[row, c] / inverse[0, 0] * inverse[:, 0]
    return keep, weight * keep


@pytest.mark.parametrize("step, block", [(128, 16), (128, 4), (4, 4), (4, 9), (8, 2), (3, 2)])
def test_sparsegpt_is_the_optimal_brain_surgeon(step, block):
    """However many columns are chosen from at once, and after however many the others hear of it."""
    factor, keep_all = inverse_factor(HESSIAN[None]), torch.ones(6, 10, dtype=torch.bool)
    keep, weight = reconstruct(W[None], factor, Share(33, keep_all), step, block)
    by_hand, expected = naive_obs(Share(33, keep_all), min(step, 10))
    assert torch.equal(keep[0], by_hand) and int((~keep).sum()) == 33
    assert torch.allclose(weight[0], expected, atol=1e-9)
    assert not torch.allclose(weight[0], W * by_hand, atol=1e-2)  # control: what stays has changed


def test_n_of_m_of_sparsegpt():
    weight, keep_all = W[:, :8], torch.ones(6, 8, dtype=torch.bool)
    keep, new = reconstruct(weight[None], inverse_factor(HESSIAN[None, :8, :8]), OfEvery(2, 4, keep_all), step=4)
    assert (keep.view(6, 2, 4).sum(2) == 2).all()

    def error(w):
        return float(((X[:, :8] @ (w - weight).T) ** 2).sum())

    by_size = OfEvery(2, 4, keep_all)
    masked = torch.cat([by_size(weight[:, c : c + 4].abs(), slice(c, c + 4)) for c in (0, 4)], 1)
    assert error(new[0]) < 0.8 * error(weight * keep[0]) and error(new[0]) < 0.8 * error(weight * masked)


def test_inputs_that_never_come_and_those_that_depend_on_each_other():
    products = HESSIAN.clone()
    products[3] = products[:, 3] = 0.0
    products[7], products[:, 7] = products[6], products[:, 6]  # singular
    assert inverse_factor(products[None].float()).isfinite().all()
    assert inverse_factor(torch.zeros(1, 3, 3)).isfinite().all()
    with pytest.raises(ValueError, match="not finite"):
        inverse_factor(products[None] * torch.nan)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_what_meets_no_input_is_worth_least_whatever_their_size(size):
    rows = X * size
    rows[:, 2] = 0.0
    scores = scored("obs", torch.ones_like(W), rows)
    damping = DAMPING * float((rows**2).sum(0).mean())
    assert float(scores[0, 2]) == pytest.approx(damping, rel=1e-6) and scores[0].argmin() == 2


@pytest.mark.parametrize("budget", [20, 33, 59])
def test_shares_are_exact_whatever_is_gone_before(budget):
    for seed in range(20):
        before = torch.rand(6, 10, generator=torch.Generator().manual_seed(seed)) > 0.3
        before[:, 7:] &= seed % 2 == 0  # all of the last columns
        budget = max(budget, int((~before).sum()))
        share, scores = Share(budget, before), random(6, 10, seed=seed)
        keep = torch.cat([share(scores[:, c : c + 4], slice(c, min(c + 4, 10))) for c in (0, 4, 8)], 1)
        assert int((~keep).sum()) == budget and not (keep & ~before).any()


def test_every_output_loses_its_part():
    scores = random(5, 7)
    ranks = ranks_in_rows(scores, None)
    assert torch.equal(ranks.argsort(1), scores.argsort(1)) and ranks.max() == 6
    before = torch.ones(5, 7, dtype=torch.bool)
    before[0, 6] = False
    assert ranks_in_rows(scores, before)[0, 6] == 0


def test_matrices_and_back():
    weight = random(4, 3, 2, 2)
    matrix = as_matrix(weight)
    assert torch.equal(matrix[1, :3], weight[1, :, 0, 0]) and torch.equal(as_weight(matrix, weight.shape), weight)
    vector = random(5)  # a bias, if asked for: by its sizes, in one row
    assert as_matrix(vector).shape == (1, 5) and torch.equal(as_weight(as_matrix(vector), vector.shape), vector)
