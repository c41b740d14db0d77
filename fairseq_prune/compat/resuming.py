"""What fairseq's trainer forgets when a run is interrupted."""

from .best_checkpoint import patience, restore_patience
from .patching import patch_once

KEY = "trainer"  # in the extra state of a checkpoint


def install() -> None:
    """Let a resumed run go on with all that one that was never interrupted has."""
    from fairseq.trainer import Trainer

    patch_once(Trainer, "state_dict", _with_the_rest)
    patch_once(Trainer, "load_checkpoint", _restoring_the_rest)


def _with_the_rest(state_dict):
    """fairseq saves neither the patience of early stopping, nor the updates since the averages moved, nor retries."""

    def state(self):
        saved = state_dict(self)
        averages = self.ema.update_freq_counter if self.cfg.ema.store_ema else 0
        rest = {"patience": patience(), "ema_updates": averages, "amp_retries": getattr(self, "_amp_retries", 0)}
        saved["extra_state"][KEY] = rest
        return saved

    return state


def _restoring_the_rest(load_checkpoint):
    def load(self, filename, reset_optimizer=False, reset_lr_scheduler=False, overrides=None, reset_meters=False):
        extra = load_checkpoint(self, filename, reset_optimizer, reset_lr_scheduler, overrides, reset_meters)
        rest = (extra or {}).get(KEY)
        if rest and not reset_optimizer:
            self._amp_retries = rest["amp_retries"]
            if self.cfg.ema.store_ema:
                self.ema.update_freq_counter = rest["ema_updates"]
            if not reset_meters:  # as the best value
                restore_patience(rest.get("patience", {}))
        return extra

    return load
