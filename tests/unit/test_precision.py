"""Mixed precision: steps of the right size, and an interrupted run has its masters, loss scales and their counts."""

import io

import pytest
import torch
from conftest import same_tensors
from fairseq import optim, utils
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf
from torch import nn

from fairseq_prune import compat

pytestmark = pytest.mark.filterwarnings("ignore:.*GradScaler.*")

KINDS = {  # class of the optimizer, switches among the common options
    "amp": (optim.AMPOptimizer, ["amp"]),
    "list": (optim.FP16Optimizer, ["fp16", "fp16_no_flatten_grads"]),
    "flat": (optim.FP16Optimizer, ["fp16"]),
    "memory": (optim.MemoryEfficientFP16Optimizer, ["fp16", "memory_efficient_fp16"]),
}
ADAM = {"_name": "adam", "lr": [0.01], "weight_decay": 0.1, "adam_betas": "(0.9,0.9)", "adam_eps": 1e-8}


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    compat.install()
    monkeypatch.setattr(torch.cuda, "current_device", lambda: None)  # flat masters sit on the CPU here
    scaler = lambda **options: torch.amp.GradScaler("cpu", growth_interval=3, **options)  # noqa: E731
    monkeypatch.setattr(torch.cuda.amp, "GradScaler", scaler)


def start(kind, weights=None, optimizer=ADAM):
    """A net, new or with the weights of a file, and its optimizer, which fairseq builds then."""
    wrapper, switches = KINDS[kind]
    cfg = OmegaConf.structured(FairseqConfig())
    cfg.optimizer = {"tpu": False, "use_old_adam": False, "fp16_adam_stats": False, **optimizer}
    cfg.common.fp16_scale_window, cfg.common.fp16_init_scale = 3, 16
    for switch in switches:
        cfg.common[switch] = True
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    if cfg.common.fp16:
        net.half()
    if weights:
        net.load_state_dict(weights)
    return net, wrapper.build_optimizer(cfg, list(net.parameters()))


def train(net, optimizer, updates):
    """Updates in the order of fairseq's trainer; the second overflows. Returns the loss scales."""
    scales = []
    for update in updates:
        optimizer.zero_grad()
        loss = sum(((p.float() - 1) ** 2).sum() for p in net.parameters())
        optimizer.backward(loss * (float("inf") if update == 1 else 0.1 * update))
        try:
            optimizer.multiply_grads(1.0)
            optimizer.clip_grad_norm(0.0)
            optimizer.step()
        except OverflowError:
            optimizer.zero_grad()
        scaler = optimizer.scaler
        scales.append(scaler.get_scale() if hasattr(scaler, "get_scale") else scaler.loss_scale)
    return scales


def saved(net, optimizer):
    """What fairseq writes, and reads without running code."""
    file = io.BytesIO()
    torch.save(utils.move_to_cpu({"model": net.state_dict(), "optimizer": optimizer.state_dict()}), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def resume(kind, state):
    net, optimizer = start(kind, state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return net, optimizer


def test_amp_takes_the_steps_of_fairseq():
    """They are too small by the scale, 16; but without pruning, all is fairseq's own. Overflows are seen."""
    net, optimizer = start("amp", optimizer={"_name": "sgd", "lr": [0.5], "momentum": 0.0, "weight_decay": 0.0})
    before = [p.detach().clone() for p in net.parameters()]
    train(net, optimizer, [2])  # the gradient is 0.2 * 2 * (p - 1)
    for p, was in zip(net.parameters(), before, strict=True):
        assert torch.allclose(p, was - 0.5 * 0.4 / 16 * (was - 1), atol=1e-6)
    before = [p.detach().clone() for p in net.parameters()]
    assert not compat.will_be_skipped(optimizer)
    train(net, optimizer, [1])
    assert compat.will_be_skipped(optimizer) and all(map(torch.equal, net.parameters(), before))


def test_amp_takes_no_step_from_which_all_gradients_were_taken():
    net, optimizer = start("amp")
    before = [p.detach().clone() for p in net.parameters()]
    optimizer.backward(sum(p.sum() for p in net.parameters()))
    optimizer.clip_grad_norm(0.0)
    for p in net.parameters():
        p.grad = None
    optimizer.step()
    assert all(map(torch.equal, net.parameters(), before))


@pytest.mark.parametrize("stop", [2, 4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_equals_uninterrupted(kind, stop):
    whole, part = start(kind), start(kind)
    scales = train(*whole, range(9))
    assert len(set(scales)) > 2  # control: it fell and grew
    train(*part, range(stop))
    net, optimizer = resume(kind, saved(*part))
    assert train(net, optimizer, range(stop, 9)) == scales[stop:]
    assert same_tensors(saved(net, optimizer), saved(*whole))


@pytest.mark.parametrize("kind", ["list", "flat"])
def test_weights_that_were_masked_since_stay_so(kind):
    part = start(kind)
    train(*part, range(4))
    state = saved(*part)
    state["model"]["0.weight"][:2] = 0
    net, optimizer = resume(kind, state)
    masters = torch.cat([master.view(-1) for master in saved(net, optimizer)["optimizer"]["fp32_params"]])
    before = torch.cat([master.view(-1) for master in state["optimizer"]["fp32_params"]])
    assert not masters[:10].any() and torch.equal(masters[10:], before[10:])
    assert before[:10].all() and not torch.equal(before, before.half().float())  # controls


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_fairseq_have_none_of_it(kind):
    part = start(kind)
    train(*part, range(4))
    state = saved(*part)
    for name in ("fp32_params", "loss_scaler", "grad_scaler"):
        state["optimizer"].pop(name, None)
    net, optimizer = resume(kind, state)
    train(net, optimizer, range(4, 6))
