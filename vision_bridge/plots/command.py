"""The figures of ``fairseq-prune plot``."""

from argparse import Namespace
from functools import partial

import torch
from fairseq.criterions import FairseqCriterion
from fairseq.tasks import FairseqTask

from fairseq_prune.drivers.plotters import PLOTTERS

from ..attack.pixels import draw, held_still
from ..models.classifier import ImageClassifier
from .confusion import confusion_matrix, draw_confusion
from .saliency import draw_saliency, saliency
from .scores import draw_scores, node_scores, weight_scores


@PLOTTERS.add("prune_image_classification")
def plot(model: ImageClassifier, task: FairseqTask, criterion: FairseqCriterion, options: Namespace) -> str:
    """Draw the requested figures; arguments and result as for :func:`fairseq_prune.drivers.plotters.plot`."""
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    model, told = model.to(device), []
    batches = partial(_batches, task, device=device)
    if options.confusion:
        with held_still(model):
            matrix = confusion_matrix(model, batches(options.split, options.batch_size), task.classes)
        draw_confusion(matrix, options.confusion)
        right = 100 * float(matrix.diagonal().sum() / matrix.sum())
        told.append(f"{options.confusion}: {int(matrix.sum()):,} images of {options.split}, {right:.2f} % right")
    if options.saliency:
        sample = next(batches(options.split, options.images, 1, options.seed))
        images = sample["net_input"]["image"]
        with held_still(model):
            maps, found = saliency(model, images)
        draw_saliency(images, maps, found, sample["target"], options.saliency)
        told.append(f"{options.saliency}: {len(images)} images of {options.split}")
    if options.scores:
        weights = weight_scores(model, criterion, batches("train", options.batch_size, options.batches, options.seed))
        draw_scores(weights, node_scores(model, weights), options.scores)
        told.append(f"{options.scores}: {sum(map(torch.numel, weights.values())):,} weights")
    return "\n".join(told)


def _batches(task, split, size, count=None, seed=None, *, device):
    """Batches of a split, on the model's device: all in order, or ``count`` batches of images drawn by a seed."""
    if split not in task.datasets:
        task.load_dataset(split)
    dataset = task.dataset(split)
    drawn = torch.arange(len(dataset)).split(size) if count is None else draw(dataset, count, size, seed)
    for indices in drawn:
        sample = dataset.collater([dataset[int(index)] for index in indices])
        yield {**sample, "net_input": {"image": sample["net_input"]["image"].to(device)},
               "target": sample["target"].to(device)}  # fmt: skip
