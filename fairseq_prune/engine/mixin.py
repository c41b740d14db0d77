"""The mixin that adds pruning to a fairseq task. All calls into the pruner are here."""

import inspect
import logging
from functools import partial
from typing import Any, Self

from fairseq.models import BaseFairseqModel
from fairseq.optim import FairseqOptimizer
from fairseq.optim.lr_scheduler import FairseqLRScheduler
from fairseq.tasks import FairseqTask

from ..checkpoint.config import name_sizes
from ..checkpoint.depth import Arriving, arriving_layers
from ..checkpoint.resize import follow_widths, load_before_wrapping
from ..checkpoint.start import Start, find_start
from ..compat import (
    at_training_end,
    hold_best,
    load_on_every_rank,
    of_class,
    refuse_references,
    start_averages_from_weights,
)
from ..errors import errors_of_a_file, one_line_data_errors, one_line_errors
from ..families import options_of
from ..optim.following import FollowsRemoval
from ..pruning.budget.cost import Costs
from ..pruning.surgery.depth import cut_layers
from ..pruning.times import Position
from . import ranks
from .account import Account, NodeCount
from .accounting import AccountingMixin
from .autocast import InBfloat16
from .checks import check_run
from .clock import Clock
from .distilling import DistillingMixin
from .executing import execute_when_loaded
from .growth_file import add_record
from .make_plan import make_plan
from .model_info import ModelInfo
from .options import PruneOptions, given_options
from .own_options import give_defaults, stands_alone, whole_config
from .plan import Plan
from .pruner import Pruner
from .reachable import RunLength, check_long_enough
from .run_record import note_start
from .same_plan import check_same_teacher
from .scoring import ScoringMixin

logger = logging.getLogger(__name__)


class PruneMixin(ScoringMixin, AccountingMixin, DistillingMixin, ModelInfo, FairseqTask):
    """Put before a fairseq task class whose config inherits :class:`~.options.PruneOptions`."""

    only_evaluates = cuts_on_load = has_model = _started = False
    _model_config = _ema_model = _scheduler = None
    _clock: Clock
    _position, start = Position(), Start()

    @property
    def uses_ema(self) -> bool:
        """True if the pruner has to mask fairseq's averages, which fairseq then passes to it.

        fairseq creates them when they are first requested. A run that masks nothing does not request them, so that its
        averages begin when fairseq's own would.
        """
        return getattr(super(), "uses_ema", False) or self.plan.prunes or bool(self.pruner.masks)

    @classmethod
    def add_args(cls, parser):
        super().add_args(parser)
        refuse_references(parser)

    @classmethod
    def setup_task(cls, cfg: PruneOptions, from_checkpoint: bool = False, **kwargs: Any) -> Self:
        """Check the options, then set up the wrapped task.

        A task rebuilt from a checkpoint, or from its own options alone, only evaluates: it has no plan, and
        its training options may name files of another machine.
        """
        plan, start = Plan(), Start()
        from_checkpoint = stands_alone(cfg, PruneOptions) or from_checkpoint
        give_defaults(cfg, PruneOptions)
        if not from_checkpoint:
            with one_line_errors():
                plan = make_plan(cls.pruning_options(cfg), cfg.prune_seed)
                start = cls.find_start(cfg)
                check_run(cfg, plan, start)
                cls.check_model(plan, whole_config(cfg))
            load_on_every_rank(whole_config(cfg))
            if cfg.prune_store_ema:
                start_averages_from_weights()
        with one_line_data_errors(getattr(cfg, "data", None)):
            task = of_class(super().setup_task(cfg, **kwargs), cls)
        task.plan, task.start, task.options, task.only_evaluates = plan, start, cfg, from_checkpoint
        if not from_checkpoint:
            at_training_end(task.warn_if_unfinished)
        return task

    def set_scheduler(self, scheduler: FairseqLRScheduler) -> None:
        """Called when the trainer has built its scheduler of learning rates, again when it continues from a file."""
        self._scheduler = scheduler

    def warn_if_unfinished(self) -> None:
        """Called when the training has ended without an error: warn of what it should have removed and has not."""
        if (unfinished := self.pruner.unfinished) and ranks.rank() == 0:
            logger.warning(
                f"NOT DONE: the run ended before it had removed what was asked: {unfinished}; resume with the "
                "same command and a later end (--max-epoch, --max-update, --stop-min-lr, --stop-time-hours)"
            )

    @classmethod
    def pruning_options(cls, cfg: PruneOptions) -> dict[str, Any]:
        """Options for :func:`~.make_plan.make_plan`; tasks with options of their own add to them."""
        return given_options(cfg)

    @classmethod
    def check_model(cls, plan: Plan, config: Any) -> None:
        """Refuse a plan that the model of a whole config cannot follow, before there are data. Raises ValueError."""

    @classmethod
    def find_start(cls, cfg: PruneOptions) -> Start:
        """What the run starts from."""
        return find_start(whole_config(cfg).checkpoint)

    def find_costs(self, model: BaseFairseqModel, of: str) -> Costs | None:
        """As of any model, else measured; None while that takes training data that are not loaded yet."""
        return super().find_costs(model, of) or self.measure(model)

    def build_model(self, cfg, from_checkpoint=False):
        self.cuts_on_load = not (from_checkpoint or self.start.resumes)
        build = super().build_model
        asks = "from_checkpoint" in inspect.signature(build).parameters  # not all tasks do
        model = build(cfg, from_checkpoint) if asks else build(cfg)
        follow_widths(model)
        if from_checkpoint:
            execute_when_loaded(model, getattr(self.options, "prune_execute", None))
        with one_line_errors():
            arriving = Arriving({}) if from_checkpoint else arriving_layers(self.start, type(self).__name__)
            if not arriving.by_this_run:
                cut_layers(model, arriving.keep(model))
            if not from_checkpoint:
                load_before_wrapping(model, cfg, self.start, ranks.world_size())
            plan, averaged = Plan() if from_checkpoint else self.plan, bool(self.options.prune_store_ema)
            pruner = Pruner(model, plan, self, averaged, self.gather_evidence)
            if arriving.by_this_run:  # the plan is of the model as it was in the beginning
                pruner.masked.cut_layers(arriving.keep(model))
        if not (self.has_model and from_checkpoint):  # a teacher is built from its checkpoint meanwhile
            self.has_model, self.pruner, self._model, self._model_config = True, pruner, model, cfg
            self._nodes = NodeCount(model, partial(self.find_structure, model))
            self.account = Account(lambda: self.costs(model), lambda: pruner.masks)
        return model

    def load_dataset(self, split, *args, **kwargs):
        with one_line_data_errors(getattr(self.options, "data", None)):
            super().load_dataset(split, *args, **kwargs)

    def get_batch_iterator(self, dataset, *args, epoch=1, update_epoch_batch_itr=False, **kwargs):
        """As fairseq's, which composes batches in the first epoch that a process sees, and reuses them.

        A resumed process would compose others, from another seed; here every process has those of epoch 1. (fairseq
        then restores the number of the epoch from the checkpoint.) A dataset with other batches in
        each epoch is given the true number.
        """
        trains = dataset is self.datasets.get(self.options.prune_train_subset)
        keeps = dataset.can_reuse_epoch_itr_across_epochs and not self.has_sharded_data("train")
        recomposes = not trains or update_epoch_batch_itr or not keeps
        kwargs.update(epoch=epoch if recomposes else 1, update_epoch_batch_itr=update_epoch_batch_itr)
        batches = super().get_batch_iterator(dataset, *args, **kwargs)
        if trains:
            self._clock = Clock(batches, self.options.prune_update_freq, self.options.prune_skip_remainder)
            if self.plan.prunes:
                self._check_length(batches)
        return batches

    def _check_length(self, batches):
        """Refuse, now that the epoch's length is known, a schedule that the run cannot finish."""
        o = self.options
        if not self.start.counts_on and not self.has_sharded_data("train"):
            limits = o.prune_max_epoch, o.prune_max_update, len(batches), o.prune_update_freq, o.prune_skip_remainder
            with one_line_errors():
                check_long_enough(self.plan, RunLength(*limits))

    def begin_epoch(self, epoch, model):
        super().begin_epoch(epoch, model)
        if not self._started:
            self._started = True
            note_start(self.options, epoch)
        self._completed_epochs = epoch - 1
        with one_line_errors():
            self.pruner.check_start()

    def begin_valid_epoch(self, epoch, model):
        super().begin_valid_epoch(epoch, model)
        self.pruner.before_validation()
        if self.pruner.pending:
            hold_best(self.options.prune_maximize_best)

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False, **ema):
        self._mask_loaded_averages(ema.get("ema_model"))
        self.scoring_criterion, self._ema_model = criterion, ema.get("ema_model")
        self._position = self._clock.at(self._completed_epochs, update_num)
        for loaded in filter(None, (self._model, self._ema_model)):
            if hasattr(loaded, "cuts_on_load"):
                loaded.cuts_on_load = False  # all that is to be loaded has been: a resume must not cut
        with one_line_errors():
            if self.plan.prunes:
                self.account.open()
            self.before_update(optimizer)
            if self.plan.prunes:
                self.account.begin_update()
        ema = ema if getattr(super(), "uses_ema", False) else {}
        criterion = InBfloat16(criterion) if self.options.prune_amp_bf16 else criterion
        with self.pruner.in_training():
            result = super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad, **ema)
        self.pruner.after_backward()
        return result

    def _mask_loaded_averages(self, ema_model):
        """Those of a file may be of before its weights were masked, as where a round of IMP begins."""
        if ema_model is not None and self._ema_model is None:
            self.pruner.masked.update_averages(ema_model, ())

    def before_update(self, optimizer: FairseqOptimizer) -> None:
        """Let the pruner act before an update; tasks with something to do once it has finished add to it."""
        self.pruner.before_update(optimizer, self._position, self._ema_model)
        if isinstance(self._scheduler, FollowsRemoval):
            self._scheduler.begin_finetuning(self.pruner.removed_in_epoch)
        add_record(self.options.prune_save_dir, self.pruner.record)

    def valid_step(self, sample, model, criterion, **ema):
        ema = ema if getattr(super(), "uses_ema", False) else {}
        with self.pruner.in_validation():
            return super().valid_step(sample, model, criterion, **ema)

    def optimizer_step(self, optimizer, model, update_num):
        self.pruner.before_step(optimizer)
        super().optimizer_step(optimizer, model, update_num)
        self.pruner.after_step(optimizer, self._position, self._ema_model)

    def get_checkpoint_dict(self):
        name_sizes(self._model_config, options_of(self._model))  # of what fairseq saves next
        account = {"account": self.account.state()} if self.plan.prunes else {}
        return {type(self).__name__: {**self.pruner.state(), **account, **self.teacher_state()}}

    def set_checkpoint_dict(self, state):
        with one_line_errors(), errors_of_a_file("checkpoint", "the state of its pruning run is damaged"):
            check_same_teacher(self.plan, self.distiller, state)
            self.pruner.load_state(state)
            if "account" in state:  # files of earlier versions have none
                self.account.load_state(state["account"])
