"""Clean accuracy, and accuracy under attack."""

import contextlib
import logging
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import torch
from fairseq.logging import progress_bar
from fairseq.tasks import FairseqTask
from torch import Tensor

from fairseq_prune.evaluate.attackers import ATTACKERS
from fairseq_prune.report.png import check_png

from ..data.image_dataset import ImageDataset
from ..data.seeds import seed_of
from ..models.classifier import ImageClassifier
from .perturb import is_right, perturb, smallest_norms
from .pixels import PixelModel, draw, held_still
from .settings import AttackSettings
from .show import draw_figure, render
from .table import MINIMAL, Attack, load_foolbox


@ATTACKERS.add("prune_image_classification")
def attack(model: ImageClassifier, task: FairseqTask, options: Namespace) -> tuple[dict[str, Any], str]:
    """Evaluate a model as the options of ``fairseq-prune attack`` say.

    Args:
        model: :class:`~..models.classifier.ImageClassifier`; moved to the GPU if there is one.
        task: :class:`~..task.ImageClassificationTask`.
        options: the command's options, as attributes.

    Returns:
        (report of plain values, the same as text).

    Raises:
        ValueError: an option is out of range or an extra is missing; raised before anything is computed.
    """
    settings = AttackSettings.read(options, torch.Size(task.image_shape).numel())
    load_foolbox()
    if options.plot:
        check_png("--plot", options.plot)
    task.load_dataset(options.split)
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    net = PixelModel(model, task.mean, task.std).to(device)
    report = {
        "checkpoint": options.checkpoint,
        "data": task.cfg.data,
        "split": options.split,
        "seed": options.seed,
        **evaluate(net, task.dataset(options.split), settings),
    }
    if options.plot:
        draw_figure(report, options.plot)
    return report, render(report)


def evaluate(net: PixelModel, dataset: ImageDataset, settings: AttackSettings) -> dict[str, Any]:
    """Attack randomly drawn images.

    Args:
        net: :class:`~.pixels.PixelModel`; left unchanged.
        dataset: :class:`~..data.image_dataset.ImageDataset`, not augmented.
        settings: :class:`~.settings.AttackSettings`.

    Returns:
        dict of ``images`` (count), ``clean_accuracy`` in [0, 1], and ``attacks``, a list of the dicts of
        :func:`summarise`.
    """
    found = {attack.name: {} for attack in settings.attacks}
    batches = draw(dataset, settings.batches, settings.batch_size, settings.seed)
    jobs = [(number, *search) for number in range(len(batches)) for search in _searches(settings)]
    right = []
    with held_still(net), _bar(jobs) as bar:
        for number, attack, epsilon in bar:
            if number == len(right):
                pixels, targets = _load(net, dataset, batches[number])
                right.append(is_right(net, pixels, targets))
            bar.log({"batch": number + 1, "attack": attack.name})
            changed = perturb(attack, net, pixels, targets, epsilon, seed_of(settings.seed, number))
            norms = smallest_norms(attack, net, pixels, changed, targets)
            found[attack.name].setdefault(epsilon, []).append(norms.cpu())
    clean = torch.cat(right)
    return {
        "images": len(clean),
        "clean_accuracy": _share(clean),
        "attacks": [
            summarise(attack, settings.epsilons[attack.norm], found[attack.name]) for attack in settings.attacks
        ],
    }


def summarise(
    attack: Attack, epsilons: Mapping[str, float], norms: Mapping[float | None, list[Tensor]]
) -> dict[str, Any]:
    """What an attack achieved.

    Args:
        attack: :class:`~.table.Attack`.
        epsilons: dict of epsilon as typed -> float.
        norms: dict of epsilon (None if the attack looks for the smallest change) -> list of the results of
            :func:`~.perturb.smallest_norms`, a tensor for each batch.

    Returns:
        dict of ``name``, ``norm``, ``kind``, ``steps``; ``epsilons``, and for each of them ``labels``,
        ``robust_accuracy`` in [0, 1] and ``success_rate``, the fraction of correctly classified images that
        become misclassified (None if there are no such images); ``median_norm`` over all images, 0 for those
        that need no change, None if infinite or unknown.
    """
    robust, success = [], []
    for epsilon in epsilons.values():
        smallest = torch.cat(norms[None] if attack.kind == MINIMAL else norms[epsilon])
        withstood = smallest > epsilon if attack.kind == MINIMAL else smallest.isinf()
        right = smallest > 0
        robust.append(_share(withstood))
        success.append(1 - _share(withstood[right]) if right.any() else None)
    median = float(torch.cat(norms[None]).quantile(0.5)) if attack.kind == MINIMAL else float("inf")
    return {
        "name": attack.name,
        "norm": attack.norm,
        "kind": attack.kind,
        "steps": attack.steps,
        "labels": list(epsilons),
        "epsilons": list(epsilons.values()),
        "robust_accuracy": robust,
        "success_rate": success,
        "median_norm": median if median < float("inf") else None,
    }


def _searches(settings):
    """(Attack, epsilon) of all searches in a batch; a search for the smallest change runs once, with epsilon None."""
    for attack in settings.attacks:
        minimal = attack.kind == MINIMAL
        for epsilon in [None] if minimal else settings.epsilons[attack.norm].values():
            yield attack, epsilon


def _load(net, dataset, indices):
    sample = dataset.collater([dataset[index] for index in indices])
    return net.pixels(sample["net_input"]["image"].to(net.mean.device)), sample["target"].to(net.mean.device)


def _share(chosen):
    return float(chosen.double().mean())


@contextlib.contextmanager
def _bar(jobs):
    """fairseq's progress bar in a terminal, which needs a logger at level INFO."""
    level = progress_bar.logger.level
    progress_bar.logger.setLevel(logging.INFO)
    try:
        with progress_bar.progress_bar(jobs, prefix="attack") as bar:
            yield bar
    finally:
        progress_bar.logger.setLevel(level)
