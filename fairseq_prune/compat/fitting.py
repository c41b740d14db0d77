"""Checkpoints that do not fit the training that is to continue from them, and options blamed on checkpoints."""

from ..files.messages import in_short, one_line
from .patching import patch_once


def install() -> None:
    """Say in one line why, instead of fairseq's "please ensure that the architectures match" and tracebacks."""
    from fairseq.trainer import Trainer

    patch_once(Trainer, "load_checkpoint", _explaining)
    patch_once(Trainer, "_build_optimizer", _naming_options)


def _explaining(load_checkpoint):
    def load(self, filename, *args, **kwargs):
        try:
            extra = load_checkpoint(self, filename, *args, **kwargs)
        except Exception as error:  # whatever fairseq stumbles over is in the file or in what it is to fit
            raise SystemExit(one_line(_reason(error, filename, self.cfg.checkpoint))) from error
        if extra is not None and not _starts_anew(self.cfg.checkpoint, filename) and not _has_place(extra):
            named = _named(filename, self.cfg.checkpoint)
            raise SystemExit(one_line(f"{named}: does not say where in the data its training was; {_ANEW}"))
        return extra

    return load


def _naming_options(build_optimizer):
    """fairseq builds the optimizer while it loads: what fails then is not the file's fault."""

    def build(self):
        try:
            return build_optimizer(self)
        except Exception as error:  # of torch, of the device, of any optimizer or scheduler
            names = f"--optimizer {self.cfg.optimizer._name} --lr-scheduler {self.cfg.lr_scheduler._name}"
            half = " --fp16" if self.cfg.common.fp16 else ""
            raise SystemExit(one_line(f"{names}{half}: cannot be set up ({in_short(error)})")) from error

    return build


_ANEW = "start from its weights alone, in a new folder: --finetune-from-model FILE"


def _reason(error, filename, cfg):
    named = _named(filename, cfg)
    if "please ensure that the architectures match" in str(error):
        return f"{named}: does not fit this model ({in_short(error)}); give the --arch and sizes of its training"
    return f"{named}: cannot be resumed from ({in_short(error)}); {_ANEW}"


def _named(filename, cfg):
    """The file, with the option that names it."""
    for option, value in (("--finetune-from-model", cfg.finetune_from_model), ("--restore-file", cfg.restore_file)):
        if filename == value:
            return f"{option} {filename}"
    return f"checkpoint {filename}"


def _starts_anew(cfg, filename):
    return cfg.reset_dataloader or filename == cfg.finetune_from_model


def _has_place(extra):
    place = extra.get("train_iterator")
    return isinstance(place, dict) and all(isinstance(place.get(n), int) for n in ("epoch", "iterations_in_epoch"))
