"""Weights that hold their products with connectivity: the loss and its gradients are those of layers that multiply."""

import pytest
import torch
from srp_models import batch, busy, srp
from torch.nn import functional as F

from fairseq_prune.methods.stand_in import stand_in
from fairseq_prune.modules.layer_norm import ConnectedLayerNorm
from fairseq_prune.pruning import devices
from fairseq_prune.pruning.surgery.table import owned_elements

VALUE = 0.3


@pytest.fixture(params=["host", "gpu"])
def device(request, monkeypatch):
    """The CPU as it is, and as a device that pays for launches."""
    if request.param == "gpu":
        monkeypatch.setattr(devices, "HOSTS", set())
    return request.param


def falling(model):
    """Every third unit of each vector but one, dict of vector name -> bool."""
    units = {name: torch.arange(len(c.vector)) % 3 == 0 for name, c in model.connectivity.items()}
    return {name: these for name, these in units.items() if name != "decoder.layers.0.fc_c"}


def loss_and_gradients(model):
    model.zero_grad()
    loss = F.cross_entropy(model(*batch())[0].flatten(0, 1), torch.arange(15))
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("options", [{}, {"share_all_embeddings": True}])
def test_the_step_of_a_shrinking_model(device, weighted, options):
    model = busy(srp(**options)).train()
    model.ask_layer_norm(weighted)
    model.connectivity["encoder.layers.0.fc_c"].vector[5:9] = 0  # gone before
    model.connectivity["encoder.embedding_c"].vector[[1, 4]] = 0
    model.connectivity["encoder.layers.1.fc_c"].vector[1] = 0.6  # another run stopped halfway
    dense, _ = loss_and_gradients(model)
    units = falling(model)
    frozen = {name: units.get(name, c.vector == 0) | (c.vector == 0) for name, c in model.connectivity.items()}
    held = model.falling(units)
    held.shrink(VALUE)
    loss, gradients = loss_and_gradients(model)
    parameters = dict(model.named_parameters())
    own = {name: p.data_ptr() for name, p in parameters.items()}
    with stand_in(parameters, held.products(VALUE)), held.in_weights():
        ours, found = loss_and_gradients(model)
        fast = [norm.shared for norm in model.modules() if isinstance(norm, ConnectedLayerNorm)]
    assert all((shared is not None) == (weighted and device == "gpu") for shared in fast)
    assert abs(ours - loss) < 1e-12 and abs(loss - dense) > 0.01
    for name, gradient in gradients.items():
        owned = owned_elements(gradient.shape, model.table.get(name, ()), frozen)
        counts = torch.ones_like(gradient, dtype=torch.bool) if owned is None else ~owned
        assert (found[name] - gradient)[counts].abs().max() < 1e-12, name
    assert all(p.data_ptr() == own[name] for name, p in parameters.items())
    assert loss_and_gradients(model)[0] == loss


def test_where_no_unit_is_whole_or_gone():
    model = busy(srp()).train()
    for c in model.connectivity.values():
        c.vector[1] = 0.6
    held = model.falling(falling(model))
    held.shrink(VALUE)
    loss, _ = loss_and_gradients(model)
    with held.in_weights():
        assert held.products(VALUE) == {} and loss_and_gradients(model)[0] == loss


def test_control_products_without_telling_the_layers():
    model = busy(srp()).train()
    held = model.falling(falling(model))
    held.shrink(VALUE)
    loss, _ = loss_and_gradients(model)
    with stand_in(dict(model.named_parameters()), held.products(VALUE)):
        assert abs(loss_and_gradients(model)[0] - loss) > 0.01


def test_multipliers_fall_alone():
    model = srp()
    model.connectivity["encoder.embedding_c"].vector[1] = 0
    units = falling(model)
    held = model.falling(units)
    for value in (0.5, 0.1, 0.0):
        held.shrink(value)
        for name, c in model.connectivity.items():
            expected = torch.ones_like(c.vector)
            expected[1] = 0 if name == "encoder.embedding_c" else 1
            expected[units.get(name, torch.zeros_like(c.vector, dtype=torch.bool))] = value
            assert torch.equal(c.vector, expected), name
