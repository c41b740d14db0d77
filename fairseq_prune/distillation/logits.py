"""Where a criterion finds the logits in what a model returns, and which of their positions it counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from fairseq.criterions import CRITERION_REGISTRY
from fairseq.modules import AdaptiveSoftmax
from torch import Tensor

from ..pruning.registry import Registry

if TYPE_CHECKING:
    from fairseq.criterions import FairseqCriterion
    from fairseq.models import BaseFairseqModel

Sample = dict[str, Any]  # a batch of fairseq's
Read = Callable[["FairseqCriterion", "BaseFairseqModel", Sample, Any], tuple[Tensor, Tensor]]
"""Function of (criterion, model, sample, what the model returned) -> logits (..., V) and bool (...), True = counts."""

LOGITS: Registry[Read] = Registry("criterion")  # by the name in --criterion; also for criterions derived from it


def reader_of(criterion: FairseqCriterion, model: BaseFairseqModel) -> Read:
    """The function that finds a criterion's logits.

    Raises:
        ValueError: it has none, or not of all classes.
    """
    names = {kind: name for name, kind in CRITERION_REGISTRY.items()}
    found = [names[kind] for kind in type(criterion).__mro__ if names.get(kind) in LOGITS]
    if not found:
        name = names.get(type(criterion), type(criterion).__name__)
        raise ValueError(f"--criterion {name} hands out no logits of all classes; give one of {', '.join(LOGITS)}")
    if getattr(criterion, "regression_target", False):
        raise ValueError("a regression has no logits; leave out --regression-target")
    if any(isinstance(module, AdaptiveSoftmax) for module in model.modules()):
        raise ValueError("an adaptive softmax hands out no logits of all words; leave out --adaptive-softmax-cutoff")
    return LOGITS[found[0]]


@LOGITS.add("cross_entropy")
def of_words(
    criterion: FairseqCriterion, model: BaseFairseqModel, sample: Sample, output: Any
) -> tuple[Tensor, Tensor]:
    """(B, T, V) of all target positions but padding."""
    return output[0], model.get_targets(sample, output).ne(criterion.padding_idx)


@LOGITS.add("label_smoothed_cross_entropy")
def of_words_after_a_prefix(
    criterion: FairseqCriterion, model: BaseFairseqModel, sample: Sample, output: Any
) -> tuple[Tensor, Tensor]:
    """As :func:`of_words`, without the first ``--ignore-prefix-size`` positions."""
    logits, keep = of_words(criterion, model, sample, output)
    return logits[:, criterion.ignore_prefix_size :], keep[:, criterion.ignore_prefix_size :]


@LOGITS.add("label_smoothed_cross_entropy_with_rdrop")
def of_words_twice(
    criterion: FairseqCriterion, model: BaseFairseqModel, sample: Sample, output: Any
) -> tuple[Tensor, Tensor]:
    """As :func:`of_words_after_a_prefix`, of a batch that the criterion may have doubled."""
    logits, keep = of_words_after_a_prefix(criterion, model, sample, output)
    return logits, keep.repeat(len(logits) // len(keep), 1)


@LOGITS.add("masked_lm")
def of_masked_words(
    criterion: FairseqCriterion, model: BaseFairseqModel, sample: Sample, output: Any
) -> tuple[Tensor, Tensor]:
    """(N, V) of the masked positions, to which the model is told to keep; none count where none is masked."""
    logits = output[0]
    return logits, sample["target"].ne(criterion.padding_idx).any().expand(logits.shape[:-1])


@LOGITS.add("sentence_prediction")
def of_sentences(
    criterion: FairseqCriterion, model: BaseFairseqModel, sample: Sample, output: Any
) -> tuple[Tensor, Tensor]:
    """(B, classes)."""
    return output[0], output[0].new_ones(len(output[0]), dtype=torch.bool)


@LOGITS.add("ctc")
def of_frames(
    criterion: FairseqCriterion, model: BaseFairseqModel, sample: Sample, output: Any
) -> tuple[Tensor, Tensor]:
    """(T, B, V) of all frames but padding; these are log-probabilities."""
    lprobs = model.get_normalized_probs(output, log_probs=True)
    frames, batch = lprobs.shape[:2]
    if "src_lengths" in sample["net_input"]:
        keep = torch.arange(frames, device=lprobs.device).unsqueeze(1) < sample["net_input"]["src_lengths"]
    elif output["padding_mask"] is not None:
        keep = ~output["padding_mask"].t()
    else:
        keep = lprobs.new_ones(frames, batch, dtype=torch.bool)
    return lprobs, keep
