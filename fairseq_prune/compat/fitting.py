"""One-line messages for checkpoints that do not fit the model, and for options that fairseq blames on checkpoints."""

import os

from ..files.messages import in_short, one_line
from .patching import patch_once


def install() -> None:
    """Give the reason in one line instead of "please ensure that the architectures match" or a traceback."""
    from fairseq import checkpoint_utils
    from fairseq.trainer import Trainer

    patch_once(checkpoint_utils, "load_model_ensemble_and_task", _naming_the_task)
    patch_once(Trainer, "load_checkpoint", _explaining)
    patch_once(Trainer, "_build_optimizer", _naming_options)


def _explaining(load_checkpoint):
    def load(self, filename, *args, **kwargs):
        try:
            extra = load_checkpoint(self, filename, *args, **kwargs)
        except Exception as error:  # whatever fairseq stumbles over is in the file or in the model that it must fit
            raise SystemExit(one_line(_reason(error, filename, self))) from error
        if extra is not None and not _starts_anew(self.cfg.checkpoint, filename) and not _has_place(extra):
            named = _named(filename, self.cfg.checkpoint)
            raise SystemExit(one_line(f"{named}: does not say where in the data its training was; {_ANEW}"))
        return extra

    return load


def _naming_the_task(load_model_ensemble_and_task):
    """``fairseq-generate`` and others build the model by the task of their own command line; none of fairseq's own
    tasks knows about widths that were cut."""

    def load(filenames, arg_overrides=None, task=None, *args, **kwargs):
        try:
            return load_model_ensemble_and_task(filenames, arg_overrides, task, *args, **kwargs)
        except Exception as error:  # as above
            reason = f"checkpoint {os.pathsep.join(filenames)}: does not fit this model ({in_short(error)})"
            advice = f"give the data of its training{_or_pruning(task)}"
            raise SystemExit(one_line(f"{reason}; {advice}")) from error

    return load


def _or_pruning(task):
    """Advice to use the pruning version of a fairseq task; empty if there is none."""
    from fairseq.tasks import TASK_REGISTRY

    names = {kind: name for name, kind in TASK_REGISTRY.items()}
    pruning = f"prune_{names.get(type(task))}"
    return f", or --task {pruning} if units were cut out of it" if pruning in TASK_REGISTRY else ""


def _naming_options(build_optimizer):
    """fairseq builds the optimizer while it loads a checkpoint; an error there is not the file's fault."""

    def build(self):
        try:
            return build_optimizer(self)
        except Exception as error:  # from torch, the device, or any optimizer or scheduler
            names = f"--optimizer {self.cfg.optimizer._name} --lr-scheduler {self.cfg.lr_scheduler._name}"
            half = " --fp16" if self.cfg.common.fp16 else ""
            raise SystemExit(one_line(f"{names}{half}: cannot be set up ({in_short(error)})")) from error

    return build


_ANEW = "start from its weights alone, in a new folder: --finetune-from-model FILE"


def _reason(error, filename, trainer):
    named = _named(filename, trainer.cfg.checkpoint)
    if "please ensure that the architectures match" in str(error):
        short, other = in_short(error), _or_pruning(trainer.task)
        return f"{named}: does not fit this model ({short}); give the --arch and sizes of its training{other}"
    return f"{named}: cannot be resumed from ({in_short(error)}); {_ANEW}"


def _named(filename, cfg):
    """The file, with the option that names it if there is one."""
    for option, value in (("--finetune-from-model", cfg.finetune_from_model), ("--restore-file", cfg.restore_file)):
        if filename == value:
            return f"{option} {filename}"
    return f"checkpoint {filename}"


def _starts_anew(cfg, filename):
    return cfg.reset_dataloader or filename == cfg.finetune_from_model


def _has_place(extra):
    place = extra.get("train_iterator")
    return isinstance(place, dict) and all(isinstance(place.get(n), int) for n in ("epoch", "iterations_in_epoch"))
