"""The frozen model that a student learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairseq import checkpoint_utils

from ..compat import load_checkpoint

if TYPE_CHECKING:
    from fairseq.models import BaseFairseqModel
    from fairseq.tasks import FairseqTask
    from omegaconf import DictConfig


EXAMPLE = "checkpoints/dense/checkpoint_best.pt"


class Teacher:
    """A frozen model in eval mode, for ever.

    It is no module, so a criterion that holds it has no parameters: nothing of it is saved, trained,
    wrapped by DDP, or switched to training mode.

    Args:
        model: the fairseq model; changed in place.
    """

    def __init__(self, model: BaseFairseqModel):
        self._model = model.eval().requires_grad_(False)

    def beside(self, student: BaseFairseqModel) -> BaseFairseqModel:
        """The model, on the device and in the dtype of the student's weights.

        With ``--fp16`` that is fp16. With ``--amp`` both are fp32 and run under the same autocast.
        """
        theirs, mine = (next(model.parameters()) for model in (student, self._model))
        if (theirs.device, theirs.dtype) != (mine.device, mine.dtype):
            self._model.to(device=theirs.device, dtype=theirs.dtype)
        return self._model


def load_teacher(cfg: DictConfig, task: FairseqTask) -> Teacher:
    """Read the teacher of a run: ``--srp-teacher``, or else the model that the run starts from.

    That two dictionaries of one size hold the same words in the same order cannot be checked: a
    checkpoint does not hold its dictionary.

    Args:
        cfg: config of the criterion.
        task: the run's task; builds the teacher.

    Returns:
        A :class:`Teacher`.

    Raises:
        ValueError: none is named, the file is missing or unreadable, or it holds a model of another
            vocabulary or of another kind of task.
    """
    option, path = _named_teacher(cfg, task)
    _check_vocabulary(_weights(path, option), task, f"{option} {path}")
    try:
        models, _ = checkpoint_utils.load_model_ensemble([path], task=task)
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        raise ValueError(f"{option} {path}: no model for this task ({_reason(error)}); give e.g. {EXAMPLE}") from None
    return Teacher(models[0])


def _reason(error):
    """One line. Of an unknown architecture fairseq means to tell with a long list, but trips over its braces."""
    text = " ".join(str(error).split())
    if isinstance(error, IndexError) or text.startswith("Could not infer model type"):
        return "its architecture is unknown here"
    return text[:200]


def _weights(path, option):
    try:
        return load_checkpoint(path)["model"]
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def _named_teacher(cfg, task):
    run = getattr(task, "cfg", None)
    paths = {
        "--srp-teacher": cfg.srp_teacher,
        "--pretrained-model": getattr(run, "pretrained_model", None),
        "--finetune-from-model": getattr(run, "prune_finetune_from_model", None),
    }
    for option, path in paths.items():
        if path:
            return option, path
    raise ValueError(f"--use-kd: distillation needs a teacher; add e.g. --srp-teacher {EXAMPLE}")


def _check_vocabulary(weights, task, teacher):
    """Compare the rows of embeddings with the dictionaries; a language model's decoder reads the source."""
    translates = any(name.startswith("encoder.") for name in weights)
    source, target = task.source_dictionary, task.target_dictionary
    dictionaries = {
        "encoder.embed_tokens.weight": source,
        "decoder.embed_tokens.weight": target if translates else source,
        "decoder.output_projection.weight": target,
    }
    for name, dictionary in dictionaries.items():
        if name in weights and len(weights[name]) != len(dictionary):
            raise ValueError(
                f"{teacher}: its {name} has {len(weights[name])} words, DATA {len(dictionary)}; "
                f"give a model trained on the same dictionaries, e.g. {EXAMPLE}"
            )
