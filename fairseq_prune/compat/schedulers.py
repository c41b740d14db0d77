"""State of the learning-rate schedulers that fairseq does not save, and passing the scheduler to the task."""

from .patching import patch_once


def install() -> None:
    """Give a resumed run the learning rates of an uninterrupted one; pass the scheduler to the task."""
    from fairseq.optim.lr_scheduler.polynomial_decay_schedule import PolynomialDecayLRSchedule
    from fairseq.optim.lr_scheduler.reduce_lr_on_plateau import ReduceLROnPlateauLRSchedule
    from fairseq.trainer import Trainer

    patch_once(Trainer, "load_checkpoint", _telling_the_validation)
    patch_once(Trainer, "_build_optimizer", _introducing)
    patch_once(ReduceLROnPlateauLRSchedule, "state_dict", _with_patience)
    patch_once(ReduceLROnPlateauLRSchedule, "load_state_dict", _restoring_patience)
    patch_once(PolynomialDecayLRSchedule, "state_dict", _with_base)
    patch_once(PolynomialDecayLRSchedule, "load_state_dict", _restoring_base)
    patch_once(PolynomialDecayLRSchedule, "step_begin_epoch", _annealing_once)


def _telling_the_validation(load_checkpoint):
    """At the end of an epoch, fairseq saves before the scheduler gets the validation loss: its decision is lost.

    The checkpoint holds that loss, so the scheduler gets it now.
    """

    def load(self, filename, reset_optimizer=False, reset_lr_scheduler=False, *args, **kwargs):
        extra = load_checkpoint(self, filename, reset_optimizer, reset_lr_scheduler, *args, **kwargs)
        if extra is not None and not reset_optimizer and not reset_lr_scheduler:
            place, value = extra["train_iterator"], extra.get("val_loss")
            if value is not None and place["iterations_in_epoch"] == 0 and place["epoch"] > 1:
                self.lr_step(place["epoch"] - 1, value)
        return extra

    return load


def _introducing(build_optimizer):
    """Only the trainer knows both scheduler and task; a task that has a method ``set_scheduler`` is given it.

    No other task informs its scheduler: one that waits for this would keep its first learning rate forever.
    """

    def build(self):
        build_optimizer(self)
        if meet := getattr(self.task, "set_scheduler", None):
            meet(self.lr_scheduler)
        elif hasattr(self.lr_scheduler, "begin_finetuning"):
            name, task = self.cfg.lr_scheduler._name, self.cfg.task._name
            raise SystemExit(f"--lr-scheduler {name}: --task {task} prunes nothing; give e.g. --task prune_{task}")

    return build


_PATIENCE = ("num_bad_epochs", "cooldown_counter")


def _with_patience(state_dict):
    """reduce_lr_on_plateau saves its best value, but not the number of epochs without improvement."""

    def state(self):
        return {**state_dict(self), **{name: getattr(self.lr_scheduler, name) for name in _PATIENCE}}

    return state


def _restoring_patience(load_state_dict):
    def load(self, state):
        load_state_dict(self, state)
        for name in _PATIENCE:
            setattr(self.lr_scheduler, name, state.get(name, 0))  # missing in files that plain fairseq wrote

    return load


def _with_base(state_dict):
    """polynomial_decay --force-anneal decays from the rate at the start of an epoch, and does not save that rate."""

    def state(self):
        return {**state_dict(self), "lr": self.lr, "begun_epoch": getattr(self, "begun_epoch", None)}

    return state


def _restoring_base(load_state_dict):
    def load(self, state):
        load_state_dict(self, state)
        self.lr, self.begun_epoch = state.get("lr", self.lr), state.get("begun_epoch")

    return load


def _annealing_once(step_begin_epoch):
    """A run resumed in mid-epoch begins that epoch again; with --force-anneal this must not count as another one."""

    def step(self, epoch):
        anneals = self.cfg.force_anneal is not None and epoch >= self.cfg.force_anneal
        if anneals and epoch == getattr(self, "begun_epoch", None):
            return self.optimizer.get_lr()
        self.begun_epoch = epoch
        return step_begin_epoch(self, epoch)

    return step
