"""Attacks: what they find, how it is counted, and that the model stays as it was."""

import math
from types import SimpleNamespace

import pytest
import torch
from attacks import few_steps, pixels_of
from conftest import same_tensors
from torch import nn

from fairseq_prune.checkpoint.load import load_model, load_task
from vision_bridge.attack.evaluate import evaluate, summarise
from vision_bridge.attack.perturb import is_right, perturb, smallest_norms
from vision_bridge.attack.pixels import PixelModel, draw, held_still
from vision_bridge.attack.settings import AttackSettings, read_attacks
from vision_bridge.attack.table import ATTACKS, FIXED, MINIMAL, NORMS

EPS = {"linf": 8 / 255, "l2": 0.7, "l1": 4.0}


def load(path):
    task, _ = load_task(path)
    task.load_dataset("test")
    net = PixelModel(load_model(path, task), task.mean, task.std)
    net.task = task
    return net


@pytest.fixture(scope="module")
def net(trained):
    """The trained model of pixels, which knows its task."""
    return load(trained).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def batch():
    """Pixels and classes of 60 test images."""
    return pixels_of("test", range(60))


def evaluate_few(net, attacks="all", **options):
    """The evaluation of 2 batches of 30 test images in few steps."""
    options = {"eps": None, "batches": 2, "batch_size": 30, "seed": 1, **options}
    settings = AttackSettings.read(SimpleNamespace(attacks=attacks, steps=few_steps(attacks), **options), 64)
    return evaluate(net, net.task.dataset("test"), settings)


def search(name, net, pixels, targets, epsilon):
    """The changed pixels, and their norms where they mislead."""
    (row,) = read_attacks(name, few_steps(name))
    changed = perturb(row, net, pixels, targets, None if row.kind == MINIMAL else epsilon, seed=1)
    return changed, smallest_norms(row, net, pixels, changed, targets)


# What attacks find


@pytest.mark.parametrize("name", ATTACKS)
def test_changes_are_small_and_images(name, net, batch):
    """Of the norm that was allowed, or counted; in [0, 1]; and they mislead more than no change does."""
    pixels, targets = batch
    row, right = ATTACKS[name], is_right(net, *batch)
    changed, norms = search(name, net, *batch, EPS[row.norm])
    sizes = torch.linalg.vector_norm((changed - pixels).flatten(1), NORMS[row.norm], dim=1)
    assert changed.shape == pixels.shape and changed.min() >= 0 and changed.max() <= 1
    misled = right & ~is_right(net, changed, targets)
    assert misled.any() and (sizes[misled] > 0).all()
    assert torch.equal(norms[misled], sizes[misled]) and norms[right & ~misled].isinf().all()
    assert (norms[~right] == 0).all()
    if row.kind == FIXED:
        assert (sizes <= EPS[row.norm] * (1 + 1e-5)).all()


def linear():
    """A linear model of 12 pixels in 3 classes, with a normalisation of its own for each channel."""
    torch.manual_seed(3)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    return PixelModel(flat, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)).requires_grad_(False), torch.rand(5, 3, 2, 2)


@pytest.mark.parametrize("name, epsilon", [("fgsm", 0.05), ("fgsm", 0.9), ("fgsm_l1", 0.5)])
def test_fgsm_by_hand(name, epsilon):
    """d loss / d x = W'(softmax - onehot) / std for a linear model."""
    net, pixels = linear()
    targets = torch.arange(5) % 3
    layer, std = net.model[1], torch.tensor([0.5, 0.6, 0.7])[:, None, None]
    mean = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    logits = ((pixels - mean) / std).flatten(1) @ layer.weight.T + layer.bias
    gradient = (logits.softmax(1) - nn.functional.one_hot(targets, 3)) @ layer.weight
    gradient = gradient.view_as(pixels) / std
    step = gradient.sign() if name == "fgsm" else gradient / gradient.abs().sum((1, 2, 3), keepdim=True)
    by_hand = (pixels + epsilon * step).clamp(0, 1)
    assert torch.allclose(perturb(ATTACKS[name], net, pixels, targets, epsilon, seed=1), by_hand, atol=1e-6)
    assert not torch.allclose(by_hand, pixels, atol=1e-3)


def test_deepfool_finds_the_distance_to_a_plane():
    """Two classes of a linear model without bounds in reach: the distance is that of the logits by |w0 - w1|."""
    net, _ = linear()
    net.model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).requires_grad_(False)
    net.model[1].weight.mul_(4)
    pixels = 0.5 + 0.02 * torch.rand(6, 3, 2, 2)
    targets = net(pixels).argmax(1)
    weight = (net.model[1].weight[0] - net.model[1].weight[1]).view(3, 2, 2) / net.std
    logits = net(pixels)
    distance = (logits[:, 0] - logits[:, 1]).abs() / weight.norm()
    changed = perturb(ATTACKS["deepfool"], net, pixels, targets, None, seed=1)
    assert 0 < changed.min() and changed.max() < 1
    norms = smallest_norms(ATTACKS["deepfool"], net, pixels, changed, targets)
    assert torch.allclose(norms, 1.02 * distance, rtol=1e-2, atol=1e-3)  # it overshoots by 0.02


def test_pgd_is_at_least_as_strong_as_fgsm(net, batch):
    for epsilon in (2 / 255, 8 / 255, 16 / 255, 32 / 255):
        fgsm, pgd = (search(name, net, *batch, epsilon)[1].isinf().sum() for name in ("fgsm", "pgd"))
        assert pgd <= fgsm
    assert pgd < fgsm  # and stronger where the model is not linear any more


def test_a_random_change_misleads_less_than_a_chosen_one(net, batch):
    noise, chosen = (search(name, net, *batch, 0.7)[1] <= 0.7 for name in ("gaussian_noise", "deepfool"))
    assert chosen.sum() > 2 * noise.sum()


# How it is counted


def test_no_change_at_epsilon_0(net):
    """Accuracy is the clean one."""
    report = evaluate_few(net, eps="0,1")
    clean = report["clean_accuracy"]
    assert 0.8 < clean < 1
    for attack in report["attacks"]:
        assert attack["robust_accuracy"][0] == clean > attack["robust_accuracy"][1]
        assert attack["success_rate"][0] == 0


def test_success_grows_with_epsilon(net):
    report = evaluate_few(net, attacks="deepfool,ddn,cw,salt_pepper", eps="0,0.1,0.4,0.5,0.7,1,3,8")
    assert len(report["attacks"]) == 4 and report["images"] == 60
    for attack in report["attacks"]:
        rates, robust = attack["success_rate"], attack["robust_accuracy"]
        assert rates == sorted(rates) and rates[0] == 0 and rates[-1] > 0.8
        for rate, share in zip(rates, robust, strict=True):
            assert share == pytest.approx(report["clean_accuracy"] * (1 - rate))
        below = [eps for eps, share in zip(attack["epsilons"], robust, strict=True) if share > 0.5]
        assert max(below) <= attack["median_norm"]


def test_summary():
    """By hand: of four images one is wrong, one withstands all."""
    norms = {None: [torch.tensor([0, 0.2]), torch.tensor([0.6, math.inf])]}
    row = summarise(ATTACKS["deepfool"], {"0.1": 0.1, "1/2": 0.5, "1": 1.0}, norms)
    assert row["robust_accuracy"] == [0.75, 0.5, 0.25] and row["labels"] == ["0.1", "1/2", "1"]
    assert row["success_rate"] == pytest.approx([0, 1 / 3, 2 / 3]) and row["median_norm"] == pytest.approx(0.4)
    row = summarise(ATTACKS["pgd"], {"0.5": 0.5}, {0.5: norms[None]})
    assert row["robust_accuracy"] == [0.25] and row["median_norm"] is None
    row = summarise(ATTACKS["cw"], {"0.5": 0.5}, {None: [torch.tensor([math.inf, math.inf, 0])]})
    assert row["median_norm"] is None
    assert summarise(ATTACKS["cw"], {"0.5": 0.5}, {None: [torch.zeros(3)]})["success_rate"] == [None]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_net_without_gradients_withstands(name):
    """All logits are constant, as in a net that was pruned away: nothing misleads it, NaN included."""
    net, pixels = linear()
    net.model[1].weight.zero_()
    targets = net(pixels).argmax(1)
    targets[0] = (targets[0] + 1) % 3
    assert search(name, net, pixels, targets, 0.3)[1].tolist() == [0, *[math.inf] * 4]


def test_pixels_are_recovered(net):
    pixels, _ = pixels_of("test", range(50))
    assert torch.equal(net.pixels((pixels - net.mean) / net.std), pixels)


def test_images_are_drawn():
    batches = draw(range(100), 3, 30, seed=1)
    assert [len(batch) for batch in batches] == [30, 30, 30] and len({int(i) for batch in batches for i in batch}) == 90
    assert sum(map(len, draw(range(100), 9, 30, seed=1))) == 100
    assert list(draw(range(100), 1, 9, 1)[0]) == list(batches[0][:9]) != list(draw(range(100), 1, 9, 2)[0])


# Same seed, same model


RANDOM = "pgd,salt_pepper,gaussian_noise"


def test_same_seed_same_result(net):
    generator = torch.get_rng_state()
    first, again, other = (evaluate_few(net, attacks=RANDOM, seed=seed, eps="linf=0.1;l2=1") for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(generator, torch.get_rng_state())


def test_an_attack_does_not_depend_on_the_others(net):
    together = evaluate_few(net, attacks=RANDOM, eps="linf=0.02,0.1;l2=1,2")["attacks"]
    alone = evaluate_few(net, attacks="pgd", eps="0.1")["attacks"][0]
    assert alone["robust_accuracy"] == together[0]["robust_accuracy"][1:]


def test_the_model_is_left_as_it_was(trained):
    net = load(trained).train()
    kept, frozen = net.model.net, next(net.parameters())
    next(kept.children()).eval()
    frozen.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    assert True in modes and False in modes
    evaluate_few(net, batch_size=5)
    assert same_tensors(before, dict(net.state_dict())) and modes == [module.training for module in net.modules()]
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * (len(list(net.parameters())) - 1)
    assert all(p.grad is None for p in net.parameters())
    with pytest.raises(KeyError), held_still(net):
        raise KeyError
    assert modes == [module.training for module in net.modules()]
