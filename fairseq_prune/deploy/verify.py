"""Checking on real data, through fairseq's own loading, that two checkpoints compute the same."""

import itertools
from typing import Any

import torch
from fairseq import utils
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ..checkpoint.load import load_model, load_split, load_task
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
    samples = samples_of(task, split, one, batches)
    if not samples:
        raise ValueError(f"the data have nothing in split {split!r} to compare on; give e.g. --data data-bin/demo")
    with errors_of_a_file(original, "the model alone does not run on its validation split; nothing can be compared"):
        difference = float(torch.tensor([largest_difference(one, other, sample) for sample in samples]).max())
    if not difference <= LIMIT:  # so for NaN, too
        raise ValueError(
            f"the outputs of the new model differ by {difference:.2e} of the largest one, more than {LIMIT:.0e}; "
            "nothing is written"
        )
    return difference, len(samples)


@torch.no_grad()
def largest_difference(one: BaseFairseqModel, other: BaseFairseqModel, sample: dict[str, Any]) -> float:
    """Largest difference between two models' outputs, as a fraction of the first's largest output.

    Args:
        one: fairseq model in float64.
        other: another one.
        sample: batch of a fairseq dataset.

    Returns:
        float; NaN if an output is not finite.
    """
    inputs = utils.apply_to_sample(lambda value: value.double() if value.is_floating_point() else value, sample)
    a, b = (_scores(model(**inputs["net_input"])) for model in (one, other))
    return float((a - b).abs().max() / a.abs().max())


def _scores(output):
    """The scores of words or classes in a model's output; sequence models return a tuple with them first."""
    return output if torch.is_tensor(output) else output[0]


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
