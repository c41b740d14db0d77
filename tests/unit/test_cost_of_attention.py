"""Budgets in costs where heads and dimensions of attention are removed: met by what is cut."""

import copy

import pytest
import torch
from small_models import build_model
from test_cost_budgets import TEXT, cost

from fairseq_prune.deploy.prune import prune_model


@pytest.mark.parametrize("of", ["params", "macs"])
@pytest.mark.parametrize("units", ["head", "qk", "vo"])
@pytest.mark.parametrize("arch, options", TEXT, ids=[arch for arch, _ in TEXT])
def test_a_model_without_heads_or_dimensions(arch, options, units, of):
    """It costs at most that, by its shapes, and runs."""
    torch.manual_seed(1)
    dense = build_model(arch, **options)
    model = copy.deepcopy(dense)
    prune_model(model, {"method": "magnitude", "units": units, f"{of}_left": 0.93})
    assert 0.7 * cost(dense, of) < cost(model, of) <= 0.93 * cost(dense, of)
    tokens = torch.randint(4, 36, (2, 6))
    inputs = (tokens, torch.tensor([6, 6]), tokens) if arch == "transformer" else (tokens,)
    assert model.eval()(*inputs)[0].isfinite().all()
