"""Masks reach the fp32 masters and the moments of every kind of fairseq optimizer."""

import pytest
import torch
from fairseq import optim
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf
from torch import nn
from torch.nn.utils import weight_norm

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.optim.masters import homes, moments_of, values_of
from fairseq_prune.pruning.times import Position

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*GradScaler.*"),
    pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning"),
]

ADAM = {"_name": "adam", "lr": [0.1], "weight_decay": 0.1, "adam_betas": "(0.5,0.5)", "adam_eps": 1e-8}
SGD = {"_name": "sgd", "lr": [0.1], "weight_decay": 0.1, "momentum": 0.9}
# optimizer, switches among the common options, class of the optimizer, type of the masters
KINDS = {
    "adam": (ADAM, [], None, None),
    "sgd": (SGD, [], None, None),
    "amp": (ADAM, ["amp"], optim.AMPOptimizer, None),
    "fp16-list": (ADAM, ["fp16", "fp16_no_flatten_grads"], optim.FP16Optimizer, list),
    "fp16-flat": (ADAM, ["fp16"], optim.FP16Optimizer, dict),
    "fp16-flat-sgd": (SGD, ["fp16"], optim.FP16Optimizer, dict),
    "fp16-memory": (ADAM, ["fp16", "memory_efficient_fp16"], optim.MemoryEfficientFP16Optimizer, None),
}
WITH_MASTERS = [kind for kind, (*_, masters) in KINDS.items() if masters]


def config(optimizer, switches):
    cfg = OmegaConf.structured(FairseqConfig())
    cfg.optimizer = {"tpu": False, "use_old_adam": False, "fp16_adam_stats": False, **optimizer}
    cfg.common.fp16_scale_window = 1000
    for switch in switches:
        cfg.common[switch] = True
    return cfg


class Net(nn.Module):
    """Matrices, a shared one, a frozen one, vectors, and a weight-normalised layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.embed = nn.Embedding(7, 4)
        self.frozen = nn.Embedding(3, 4).requires_grad_(False)
        self.fc = nn.Linear(4, 6)
        self.norm = nn.LayerNorm(6)
        self.normed = weight_norm(nn.Linear(6, 4))
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.embed.weight

    def trained(self):
        return {name: p for name, p in self.named_parameters() if p.requires_grad}


@pytest.fixture
def training(monkeypatch):
    """Make a run of a kind: fairseq prunes the model, halves it, then builds the optimizer."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: None)  # flat masters sit on the CPU here

    def make(kind, **plan):
        optimizer, switches, wrapper, masters = KINDS[kind]
        cfg, net = config(optimizer, switches), Net()
        pruner = Pruner(net, make_plan({"method": "magnitude", "target": 0.5, "start": "2up", **plan}))
        if cfg.common.fp16:
            net.half()
        params = list(net.trained().values())
        build = wrapper.build_optimizer if wrapper else lambda cfg, p: optim.build_optimizer(cfg.optimizer, p)
        optimizer = build(cfg, params)
        assert masters is None or isinstance(optimizer.fp32_params, masters)
        return net, optimizer, pruner

    return make


def gradients(net):
    """A gradient for each parameter, exact in half precision, another for every element."""
    count = iter(range(1, 1000))
    return {
        name: torch.tensor([next(count) / 64 for _ in range(p.numel())]).view(p.shape)
        for name, p in net.trained().items()
    }


def step(net, optimizer):
    """One update by given gradients, in the order of fairseq's trainer."""
    optimizer.zero_grad()
    wanted = gradients(net)
    optimizer.backward(sum((p * wanted[name].to(p)).sum().float() for name, p in net.trained().items()))
    optimizer.clip_grad_norm(0.0)
    optimizer.step()


def train(net, optimizer, pruner, updates):
    for update in updates:
        pruner.before_update(optimizer, Position(0, update))
        step(net, optimizer)
        pruner.after_step(optimizer, Position(0, 0))


def tensors_of(net, optimizer, name):
    """Values of a parameter, master first, and its moments."""
    masters, parameter = homes(optimizer), net.get_parameter(name)
    return values_of(parameter, masters), moments_of(parameter, masters, optimizer)


@pytest.mark.parametrize("kind", KINDS)
def test_views_are_the_parameters_element_by_element(training, kind):
    net, optimizer, _ = training(kind)
    step(net, optimizer)
    wanted = gradients(net)
    for name, parameter in net.trained().items():
        values, moments = tensors_of(net, optimizer, name)
        assert len(values) == (2 if kind in WITH_MASTERS else 1)
        assert values[-1].data_ptr() == parameter.data_ptr()
        assert torch.equal(values[0].to(parameter.dtype), parameter)
        assert values[0].dtype == (torch.float32 if kind in WITH_MASTERS else parameter.dtype)
        for moment in moments:
            assert moment.shape == parameter.shape
        if "sgd" in kind:
            (momentum,) = moments
            start = dict(Net().named_parameters())[name].detach().to(parameter.dtype).float()
            assert torch.allclose(momentum, wanted[name] + 0.1 * start, rtol=1e-5, atol=1e-6)
        else:
            first, second = moments
            assert torch.allclose(first.float(), 0.5 * wanted[name], rtol=1e-3)
            assert torch.allclose(second.float(), 0.5 * wanted[name].square(), rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_writing_into_a_view_reaches_the_optimizer(training, kind):
    net, optimizer, _ = training(kind)
    step(net, optimizer)
    values, _ = tensors_of(net, optimizer, "fc.weight")
    for value in values:
        value[1, 2] = 60.0
    step(net, optimizer)
    assert 50 < net.fc.weight[1, 2] < 60  # decayed by 1 %, and one step of the gradient
    assert net.fc.weight.abs().flatten().sort().values[-2] < 5


@pytest.mark.parametrize("kind", WITH_MASTERS)
def test_control_a_view_of_another_place_does_not(training, kind):
    net, optimizer, _ = training(kind)
    step(net, optimizer)
    values, moments = tensors_of(net, optimizer, "fc.weight")
    wrong, wrong_moments = tensors_of(net, optimizer, "embed.weight")
    assert not torch.equal(wrong[0].flatten()[:24].view(6, 4).half(), net.fc.weight)
    assert not torch.allclose(wrong_moments[0].flatten()[:24], moments[0].flatten())


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_masks_masters_model_and_moments(training, kind):
    net, optimizer, pruner = training(kind, include="fc.bias")
    train(net, optimizer, pruner, range(2))
    assert not pruner.masks
    before = {name: [m.clone() for m in tensors_of(net, optimizer, name)[1]] for name in net.trained()}
    pruner.before_update(optimizer, Position(0, 2))
    assert pruner.masks.keys() > {"embed.weight", "fc.weight"}
    for name in net.trained():
        values, moments = tensors_of(net, optimizer, name)
        keep = pruner.masks.get(name, torch.ones_like(values[0], dtype=torch.bool))
        assert all(moment[~keep].eq(0).all() for moment in [*values, *moments])
        assert len(moments) == len(before[name]) > 0
        for moment, old in zip(moments, before[name], strict=True):
            assert torch.equal(moment[keep], old[keep]) and old[~keep].all()


@pytest.mark.parametrize("kind", KINDS)
def test_removed_weights_stay_removed(training, kind):
    """Three updates after the event, weight decay and momentum included; survivors move on."""
    net, optimizer, pruner = training(kind)
    train(net, optimizer, pruner, range(3))
    at_event = {name: p.detach().clone() for name, p in net.trained().items()}
    train(net, optimizer, pruner, range(3, 6))
    for name, keep in pruner.masks.items():
        parameter = net.get_parameter(name)
        for value in values_of(parameter, homes(optimizer)):
            assert not value[~keep].any() and value[keep].all()
        assert not parameter.requires_grad or (parameter[keep] != at_event[name][keep]).any()


@pytest.mark.parametrize("kind", WITH_MASTERS)
def test_control_masking_the_model_alone_is_undone(training, kind):
    net, optimizer, _ = training(kind)
    step(net, optimizer)
    keep = torch.arange(24).view(6, 4) > 11
    net.fc.weight.data.mul_(keep)
    step(net, optimizer)
    assert (net.fc.weight[~keep].abs() > 1e-3).float().mean() > 0.9


def test_control_masking_the_master_alone_comes_one_step_late(training):
    net, optimizer, _ = training("fp16-flat")
    step(net, optimizer)
    (master, model), _ = tensors_of(net, optimizer, "fc.weight")
    master.zero_()
    assert model.all()


@pytest.mark.parametrize("kind", KINDS)
def test_weight_normalised_survivors_keep_their_value(training, kind):
    """In the master as well, from which the next step copies."""
    net, optimizer, pruner = training(kind, skip="embed*,fc*,frozen*")
    train(net, optimizer, pruner, range(2))
    effective = lambda g, v: v.float() * (g.float() / v.float().norm(dim=1, keepdim=True))  # noqa: E731

    def weights():
        pairs = zip(*(tensors_of(net, optimizer, f"normed.weight_{x}")[0] for x in "gv"), strict=True)
        return [effective(g, v) for g, v in pairs]

    before = weights()
    pruner.before_update(optimizer, Position(0, 2))
    keep = pruner.masks["normed.weight_v"] & pruner.masks.get("normed.weight_g", torch.tensor(True))
    assert int(keep.sum()) == 12
    tolerance = 2e-3 if net.fc.weight.dtype == torch.float16 else 1e-6
    for old, new in zip(before, weights(), strict=True):
        assert not new[~keep].any()
        assert torch.allclose(new, old * keep, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_scales_of_whole_slices_keep_every_bit(training, kind):
    net, optimizer, pruner = training(kind, skip="embed*,fc*,frozen*", target=1 / 24)
    train(net, optimizer, pruner, range(2))
    before = [value.clone() for value in tensors_of(net, optimizer, "normed.weight_g")[0]]
    pruner.before_update(optimizer, Position(0, 2))
    whole = pruner.masks["normed.weight_v"].all(1)
    assert int(whole.sum()) == 3
    after = tensors_of(net, optimizer, "normed.weight_g")[0]
    assert all(torch.equal(old[whole], new[whole]) for old, new in zip(before, after, strict=True))
    assert before[0][~whole] != after[0][~whole]  # control, in the master


GROWTH = {"update_reg_interval": 1, "reg_granularity_prune": 0.25}


def grown(training, kind, **growth):
    """Weights after four updates under a penalty, masters where there are any, and the penalty then."""
    approach = {**GROWTH, **growth}
    net, optimizer, pruner = training(kind, method="greg1", units="weight", start="0up", approach=approach)
    for update in range(4):
        pruner.before_update(optimizer, Position(0, update))
        optimizer.zero_grad()
        wanted = gradients(net)
        optimizer.backward(sum((p * wanted[name].to(p)).sum().float() for name, p in net.trained().items()))
        optimizer.clip_grad_norm(0.0)
        pruner.before_step(optimizer)
        optimizer.step()
        pruner.after_step(optimizer, Position(0, update))
    return {name: tensors_of(net, optimizer, name)[0][0].float() for name in net.trained()}, pruner.metrics["penalty"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "fp16" in kind])
def test_a_growing_penalty_is_the_same_for_all_masters(training, kind):
    """As in fp32, with SGD in the gradient, whatever factor that waits for, and with Adam as decay."""
    alone = "sgd" if "sgd" in kind else "adam"
    (found, penalty), (exact, _), (free, _) = (
        grown(training, kind),
        grown(training, alone),
        grown(training, alone, reg_granularity_prune=1e-9),
    )
    assert penalty == 1.0
    for name in ("embed.weight", "fc.weight"):
        assert torch.allclose(found[name], exact[name], rtol=1e-2, atol=4e-3)
    assert not torch.allclose(exact["fc.weight"], free["fc.weight"], rtol=1e-2, atol=4e-3)  # control
