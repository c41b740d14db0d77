"""Between selection and removal: what happens to weights and gradients, by hand."""

import math

import pytest
import torch
from one_layer import Training

from fairseq_prune.pruning.times import Position


def smallest(weight, count):
    """Mask without the smallest weights of the layer."""
    keep = torch.ones(weight.numel(), dtype=torch.bool)
    keep[weight.abs().flatten().argsort()[:count]] = False
    return keep.view(weight.shape)


METHODS = {
    "projection": {"method": "irregular", "freeze": "6up", "every": "2up"},
    "admm": {"method": "admm", "freeze": "6up", "every": "2up"},
    "movement": {"method": "movement", "end": "6up"},
    "soft movement": {"method": "soft_movement", "end": "6up"},
    "sr_ste": {"method": "sr_ste", "target": "2:4", "freeze": "6up"},
    "skeleton": {"method": "skeleton", "units": "row", "end": "6up"},
    "hoyer": {"method": "hoyer_square", "end": "6up"},
    "group lasso": {"method": "group_lasso", "units": "row", "end": "6up", "approach": {"prune_lambda": 0.1}},
    "l0": {"method": "l0", "units": "row", "end": "6up"},
    "tick-tock": {
        "method": "gate_decorators", "units": "row", "end": "6up", "every": "1up",
        "approach": {"prune_ticks": 2, "prune_tocks": 1, "prune_gate_l1": 0.1, "prune_gate_lr": 0.05},
    },
}  # fmt: skip
FITTED = {"method": "group_lasso", "units": "row", "end": "6up"}  # as strong as its target needs


@pytest.mark.parametrize("method", METHODS)
def test_exact_in_the_end(method):
    training = Training(**METHODS[method])
    for _ in range(7):
        assert training.pruner.pending and not training.pruner.masks
        training.step()
    assert not training.pruner.pending
    assert int((training.weight == 0).sum()) == 24 == int((~training.pruner.masks["weight"]).sum())
    training.step()
    assert int((training.weight == 0).sum()) == 24


@pytest.mark.parametrize("method", METHODS)
def test_validation_sees_a_sparse_model_and_leaves_the_weights(method):
    training = Training(**METHODS[method])
    for _ in range(5):
        training.step()
    before = training.weight
    seen = training.validated()
    assert torch.equal(training.weight, before) and (before != 0).all()
    assert torch.equal(seen, training.validated())
    if method in ("skeleton", "l0", "tick-tock"):
        assert not torch.equal(seen, before)
    elif "movement" in method:
        assert int((seen == 0).sum()) == round(48 * 0.5 * (1 - (2 / 6) ** 3))
    else:
        assert int((seen == 0).sum()) == 24


@pytest.mark.parametrize("method", [*METHODS, "fitted"])
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_resumes_to_the_same_bits(method, stop):
    one = Training(**METHODS.get(method, FITTED))
    for _ in range(stop):
        one.step()
    other = one.resumed()
    for _ in range(9 - stop):
        one.step()
        other.step()
        assert torch.equal(one.weight, other.weight)


def test_projection_by_hand():
    """Every second update the smaller half is zeroed, and all learn in between."""
    training = Training(momentum=0.9, **METHODS["projection"])
    for update in range(6):
        before = training.weight
        seen, _ = training.step()
        assert torch.equal(seen, before * smallest(before, 24) if update % 2 == 0 else before)
        assert (training.weight != 0).all()


def test_admm_by_hand():
    training, rho = Training(approach={"prune_rho": 0.5}, **METHODS["admm"]), 0.5
    duals = nearest = None
    for update in range(6):
        before = training.weight
        if update % 2 == 0:
            sums = before if duals is None else before + duals
            nearest = sums * smallest(sums, 24)
            duals = torch.zeros_like(before) if duals is None else duals + before - nearest
        seen, gradient = training.step()
        assert torch.equal(seen, before)
        expected = before - 0.1 * (gradient + rho * (before - nearest + duals))
        assert torch.allclose(training.weight, expected, atol=1e-6)
    assert duals.abs().max() > 0  # they moved


def test_admm_comes_to_its_constraint():
    """The weights become as sparse as wanted before anything is removed; without a pull they do not."""
    drawn, free = (
        Training(approach={"prune_rho": rho}, method="admm", freeze="400up", every="20up") for rho in (3.0, 1e-6)
    )
    for _ in range(400):
        drawn.step()
        free.step()
    assert drawn.pruner.metrics["distance"] < 1e-3 and free.pruner.metrics["distance"] > 0.3


def test_gates_by_hand():
    """Gradient of a gate: sum of dL/d(WI) W over its unit; an L1 shrinks it; closed ones stay so; then they fold."""
    settings = {"prune_gate_l1": 0.1, "prune_gate_threshold": 0.8}
    training = Training(approach=settings, **METHODS["skeleton"])
    gates, velocity = torch.ones(6), torch.zeros(6)
    for _ in range(6):
        before = training.weight
        seen, gradient = training.step()
        assert torch.allclose(seen, before * gates[:, None], atol=1e-6)
        velocity = 0.9 * velocity + (gradient * before).sum(1) + 0.1 * gates.sign()
        closed = gates == 0
        gates = gates - 0.1 * velocity
        assert torch.allclose(training.weight, before - 0.1 * gradient * seen.div(before), atol=1e-5)
        gates = torch.where(closed | (gates.abs() <= 0.8), torch.zeros(6), gates)
    assert 0 < int((gates == 0).sum()) < 6
    before = training.weight
    training.pruner.before_update(training.optimizer, Position(0, 6))
    rows = gates.abs().argsort(stable=True)[3:]
    assert torch.allclose(training.weight[rows], (before * gates[:, None])[rows], atol=1e-5)
    assert int((~training.pruner.masks["weight"]).all(1).sum()) == 3


def test_l0_by_hand():
    """One draw an update, also for accumulated batches; its gradient goes through the draw, a charge is added."""
    torch.manual_seed(7)
    training = Training(target="0abs", approach={"prune_lambda": 2.0, "prune_gate_lr": 2.0}, **METHODS["l0"])
    generator = torch.Generator().manual_seed(1)
    log_alpha = (0.01 * torch.randn(6, generator=generator)).requires_grad_()
    velocity = torch.zeros(6)
    for update in range(6):
        before, noise = training.weight, torch.rand(6, generator=generator)
        training.pruner.before_update(training.optimizer, Position(0, update))  # of an earlier batch of the same update
        seen, gradient = training.step()
        drawn = torch.sigmoid((noise.logit() + log_alpha) * 1.5) * 1.2 - 0.1
        assert torch.allclose(seen, before * drawn.clamp(0, 1)[:, None], atol=1e-5)
        (gradient * before * drawn.clamp(0, 1)[:, None]).sum().backward()
        (2.0 * torch.sigmoid(log_alpha - math.log(1 / 11) * 2 / 3).mean()).backward()
        velocity = 0.9 * velocity + log_alpha.grad
        log_alpha = (log_alpha.detach() - 2 * velocity).clamp(-math.log(100), math.log(100)).requires_grad_()
    gates = torch.sigmoid(log_alpha.detach()) * 1.2 - 0.1
    assert torch.allclose(training.validated(), training.weight * gates.clamp(0, 1)[:, None], atol=1e-4)
    closed = gates <= 0
    assert 0 < int(closed.sum()) < 6
    assert training.pruner.metrics["closed"] == pytest.approx(float(closed.float().mean()))
    before = training.weight
    training.pruner.before_update(training.optimizer, Position(0, 6))
    assert torch.equal(training.pruner.masks["weight"], ~closed[:, None].expand(6, 8))
    assert torch.allclose(training.weight, before * gates.clamp(0, 1)[:, None], atol=1e-4)


def test_tick_tock_by_hand():
    """Intervals are a tock, two ticks, a tock and so on; in ticks weights rest, and gates of least effect close."""
    training = Training(momentum=0.9, **METHODS["tick-tock"])
    gates, velocity, effects = torch.ones(6), torch.zeros(6), torch.zeros(6)
    for update, ticks in enumerate((False, True, True, False, True, True)):
        before = training.weight
        training.pruner.before_update(training.optimizer, Position(0, update))
        if update and (False, True, True, False, True, True)[update - 1]:
            order = torch.where(gates == 0, -1.0, effects).argsort(stable=True)
            gates[order[: round(3 * update / 6)]] = 0
        seen, gradient = training.step()
        assert torch.allclose(seen, before * gates[:, None], atol=1e-6)
        assert torch.equal(training.weight, before) == ticks
        by_gates = (gradient * before).sum(1)
        effects = (gates * by_gates).abs()  # one update in each tick
        velocity = 0.9 * velocity + by_gates + (0.0 if ticks else 0.1) * gates.sign()
        gates = (gates - 0.05 * velocity) * (gates != 0)
        assert training.pruner.metrics["closed"] == pytest.approx(float((gates == 0).float().mean()))
    before = training.weight
    training.pruner.before_update(training.optimizer, Position(0, 6))
    removed = torch.where(gates == 0, -1.0, effects).argsort(stable=True)[:3]
    gates[removed] = 0
    assert torch.allclose(training.weight, before * gates[:, None], atol=1e-5)


@pytest.mark.parametrize("options, message", [
    ({"method": "admm"}, "--prune-schedule reselect needs --prune-freeze, e.g. --prune-freeze 2000up"),
    ({"method": "movement"}, "needs --prune-end"),
    ({"method": "skeleton"}, "--prune-method skeleton needs --prune-end"),
    ({"method": "admm", "schedule": "once"}, "--prune-schedule once: is not for --prune-method admm"),
    ({"method": "greg1", "units": "weight", "schedule": "cubic", "end": "9up"}, "--prune-schedule cubic: is not for"),
    ({"method": "greg1", "units": "n:m", "target": "2:4"}, "--prune-units n:m: are not for"),
    ({"method": "magnitude", "schedule": "growing"}, "--prune-schedule growing: is not for --prune-method magnitude"),
    ({"method": "movement", "units": "filter", "end": "9up"}, "--prune-units filter: are not for"),
    ({"method": "grasp", "units": "pattern", "scope": "layer"}, "pattern: do not fit importance gradient_flow, whose"),
    ({"method": "patdnn", "importance": "smallness"}, "--prune-units pattern: do not fit importance smallness, whose"),
    ({"method": "movement", "schedule": "cubic", "steps": "3"}, "--prune-method movement needs --prune-end"),
    ({"method": "admm", "freeze": "6up", "approach": {"prune_rho": 0.0}}, "--prune-rho 0.0: must be above 0"),
    ({"method": "irregular", "approach": {"prune_rho": 0.1}}, "--prune-rho 0.1: is not for --prune-method irregular"),
    ({"method": "l0", "end": "9up", "approach": {"prune_lambda": -1.0}}, "--prune-lambda -1.0: must not be below 0"),
    ({"method": "l0", "units": "row"}, "--prune-method l0 needs --prune-end"),
    ({"method": "l0", "units": "filter", "end": "9up"}, "--prune-units filter: .*; e.g. --prune-units node"),
    ({"method": "l0", "importance": "magnitude", "end": "9up"}, "--prune-importance magnitude: is not for"),
    ({"method": "hoyer_square", "schedule": "cubic", "end": "9up"}, "--prune-schedule cubic: is not for"),
    ({"method": "hoyer_square", "approach": {"prune_gate_lr": 0.1}, "end": "9up"}, "--prune-gate-lr 0.1: .* l0"),
    ({"method": "hoyer_square", "units": "n:m", "target": "2:4", "end": "9up"}, "--prune-units n:m: are not for"),
    ({"method": "magnitude", "target": "0.1nabs"}, "write 0.001abs"),
    ({"method": "patdnn", "target": "0.1abs"}, "--prune-target 0.1abs: is not for units pattern"),
    ({"method": "gate_decorators", "end": "9up"}, "--prune-tocks 10: leaves no tick in the 9 intervals"),
    ({"method": "gate_decorators", "schedule": "growing", "end": "9up"}, "--prune-schedule growing: is not for"),
    ({"method": "gate_decorators", "approach": {"prune_ticks": 0}, "end": "9up"}, "--prune-ticks 0: must be above 0"),
    ({"method": "irregular", "freeze": "6up", "end": "9up"}, "--prune-freeze 6up: does not go with --prune-end 9up"),
    ({"method": "irregular", "freeze": "6up", "schedule": "cubic"}, "does not go with --prune-schedule cubic"),
])  # fmt: skip
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        Training(**options)
