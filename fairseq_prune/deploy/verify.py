"""Checking on real data, through fairseq's own loading, that two checkpoints compute the same."""

import copy
import inspect
import itertools
from typing import Any

import torch
from fairseq import utils
from fairseq.data import data_utils
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..checkpoint.load import load_model, load_split, load_task
from ..engine.task_loss import TaskLoss, loss_of
from ..errors import errors_of_a_file

LIMIT = 1e-6
ROWS = 4  # sentences or images in a batch; logits of a whole vocabulary in float64 are large


def require_same(original: str, cut: str, batches: int, data: str | None = None) -> tuple[float, int]:
    """Refuse a cut checkpoint that does not compute the same as the original, in eval mode.

    Both run in float64 over shuffled batches of the validation split. The limit is not that of
    float64, since fairseq computes the softmax of attention to the source in float32.

    Args:
        original: path of a checkpoint.
        cut: path of the one made of it.
        batches: of four sentences or images to compare (count).
        data: the DATA argument; None: that of the checkpoint.

    Returns:
        (largest difference of outputs, as a fraction of the largest output, batches compared).

    Raises:
        ValueError: they differ by more than :data:`LIMIT`, cannot be loaded, or there is no data.
    """
    task, config = load_task(cut, data)
    split = config.dataset.valid_subset.split(",")[0]
    tasks = load_task(original, data)[0], task  # each of its own: models of stock tasks do not follow cut widths
    one, other = (load_model(*pair).eval().double() for pair in zip((original, cut), tasks, strict=True))
    loss = loss_of(task, task.build_criterion(config.criterion)).eval()
    samples = samples_of(task, split, one, batches)
    if not samples:
        raise ValueError(f"the data have nothing in split {split!r} to compare on; give e.g. --data data-bin/demo")
    with errors_of_a_file(original, "the model alone does not run on its validation split; nothing can be compared"):
        difference = float(torch.tensor([largest_difference(one, other, loss, sample) for sample in samples]).max())
    if not difference <= LIMIT:  # so for NaN, too
        raise ValueError(
            f"the outputs of the new model differ by {difference:.2e} of the largest one, more than {LIMIT:.0e}; "
            "nothing is written"
        )
    return difference, len(samples)


@torch.no_grad()
def largest_difference(
    one: BaseFairseqModel, other: BaseFairseqModel, loss: nn.Module, sample: dict[str, Any]
) -> float:
    """Largest difference between two models' outputs, as a fraction of the first's largest number.

    Args:
        one: fairseq model in float64.
        other: another one.
        loss: as of :func:`~fairseq_prune.engine.task_loss.loss_of`; runs them where samples are not their inputs.
        sample: batch of a fairseq dataset.

    Returns:
        float; NaN if an output is not finite.
    """
    inputs = utils.apply_to_sample(lambda value: value.double() if value.is_floating_point() else value, sample)
    a, b = (_outputs(model, loss, copy.deepcopy(inputs)) for model in (one, other))
    return float((a - b).abs().max() / a.abs().max())


def _outputs(model, loss, sample):
    """All numbers that a model puts out on a sample; of one that masks its input, its features without masks."""
    if not _masks_its_input(model):
        return _scores(model, loss, sample)
    features = model.extract_features(sample["net_input"]["source"], sample["net_input"].get("padding_mask"))
    return features["x"] if isinstance(features, dict) else features[0]


def _masks_its_input(model):
    """True of models of speech, whose masks are drawn from generators that nothing seeds."""
    extract = getattr(model, "extract_features", None)
    return extract is not None and "mask" in inspect.signature(extract).parameters


def _scores(model, loss, sample):
    """What the model, or the models within it, return when the sample is run, with the same noise every time."""
    found: list[Tensor] = []

    def note(part, args, output):
        scores = output if torch.is_tensor(output) or isinstance(output, dict) else output[0]
        found.extend(leaf for leaf in tree_leaves(scores) if torch.is_tensor(leaf) and leaf.is_floating_point())

    parts = [part for part in model.modules() if isinstance(part, BaseFairseqModel)]
    handles = [part.register_forward_hook(note) for part in parts]
    try:
        with torch.random.fork_rng(devices=[]), data_utils.numpy_seed(1):
            torch.manual_seed(1)
            if isinstance(loss, TaskLoss):
                loss(model, sample)
            else:
                model(**sample["net_input"])
    finally:
        for handle in handles:
            handle.remove()
    return torch.cat([leaf.flatten().double() for leaf in found])


def samples_of(task: FairseqTask, split: str, model: BaseFairseqModel, count: int) -> list[dict[str, Any]]:
    """The first batches of four of a split, shuffled.

    Args:
        task: fairseq task.
        split: e.g. ``"valid"``.
        model: that is to read them.
        count: of batches, at most.

    Returns:
        list of batches.
    """
    if split not in task.datasets:
        load_split(task, split)
    batches = task.get_batch_iterator(
        task.dataset(split),
        max_sentences=ROWS,
        max_positions=utils.resolve_max_positions(task.max_positions(), model.max_positions()),
        ignore_invalid_inputs=True,
    ).next_epoch_itr(shuffle=True)
    return list(itertools.islice(batches, count))
