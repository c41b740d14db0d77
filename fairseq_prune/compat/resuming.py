"""State that fairseq's trainer does not save, and runs that are started again after they have ended."""

import logging

from ..files.folder import is_in
from .best_checkpoint import forget_best, patience, restore_patience
from .patching import patch_once

logger = logging.getLogger(__name__)

KEY = "trainer"  # in the ``extra_state`` of a checkpoint


def install() -> None:
    """Give a resumed run the full state of an uninterrupted one, and end a run at once if it is already over."""
    from fairseq.trainer import Trainer

    patch_once(Trainer, "state_dict", _with_the_rest)
    patch_once(Trainer, "load_checkpoint", _restoring_the_rest)
    patch_once(Trainer, "load_checkpoint", _knowing_the_end)


def _with_the_rest(state_dict):
    """fairseq saves neither the patience of early stopping, the updates since the last EMA step, nor AMP retries."""

    def state(self):
        saved = state_dict(self)
        averages = self.ema.update_freq_counter if self.cfg.ema.store_ema else 0
        rest = {"patience": patience(), "ema_updates": averages, "amp_retries": getattr(self, "_amp_retries", 0)}
        saved["extra_state"][KEY] = rest
        return saved

    return state


def _restoring_the_rest(load_checkpoint):
    def load(self, filename, reset_optimizer=False, reset_lr_scheduler=False, overrides=None, reset_meters=False):
        forget_best()  # left by an earlier training in this process
        extra = load_checkpoint(self, filename, reset_optimizer, reset_lr_scheduler, overrides, reset_meters)
        rest = (extra or {}).get(KEY)
        if rest and not reset_optimizer:
            self._amp_retries = rest["amp_retries"]
            if self.cfg.ema.store_ema:
                self.ema.update_freq_counter = rest["ema_updates"]
            if not reset_meters:  # as for the best value
                restore_patience(rest.get("patience", {}))
        return extra

    return load


def _knowing_the_end(load_checkpoint):
    """fairseq checks whether a run has ended only after an update, so a finished run would be trained further."""

    def load(self, filename, *args, **kwargs):
        extra = load_checkpoint(self, filename, *args, **kwargs)
        is_own = is_in(self.cfg.checkpoint.save_dir, filename)
        if extra is not None and is_own and (end := _end_of(self)):
            logger.info(f"{filename}: this training has ended, by {end}; nothing is changed")
            self.cfg.optimization.max_epoch = -1  # ends the loop over epochs, which comes next
        return extra

    return load


def _end_of(trainer):
    """The option whose limit the run has reached, with its value; None if it goes on."""
    limits, waits = trainer.cfg.optimization, trainer.cfg.checkpoint.patience
    if 0 < limits.max_update <= trainer.get_num_updates():
        return f"--max-update {limits.max_update}"
    if 0 < waits <= patience().get("num_runs", 0):
        return f"--patience {waits}"
    if 0 < limits.stop_time_hours < trainer._previous_training_time / 3600:
        return f"--stop-time-hours {limits.stop_time_hours}"
    return None
