"""What a fairseq task needs for SRP. All calls into the shrinker are here."""

from functools import partial

from fairseq.logging import metrics

from ...compat import hold_best, load_checkpoint
from ...errors import one_line_errors
from ..checks import check_restore_file
from ..options import PruneOptions
from ..own_options import stands_alone
from .plan import SrpPlan, check_end, is_fresh, make_srp_plan
from .score import connectivity_scores
from .shrinker import Shrinker


class SrpMixin:
    """Put before a pruning task class whose config inherits :class:`~.options.SrpOptions`."""

    srp_plan = SrpPlan()
    shrinker = None
    cuts_on_load = False
    _at = None
    _connectivity = 1.0

    @classmethod
    def setup_task(cls, cfg, from_checkpoint=False, **kwargs):
        plan = SrpPlan()
        from_checkpoint = stands_alone(cfg, PruneOptions) or from_checkpoint
        if not from_checkpoint:
            with one_line_errors():
                plan = make_srp_plan(cfg)
                if plan.prunes or cfg.pretrained_model:
                    check_restore_file(cfg)
        task = super().setup_task(cfg, from_checkpoint=from_checkpoint, **kwargs)
        if plan.prunes and task.plan.prunes:
            method = f"--prune-method {task.plan.method}"
            raise SystemExit(f"{method}: a run either masks or cuts; leave it out, or --srp and --compression-rate")
        task.srp_plan = plan
        return task

    def build_model(self, cfg, from_checkpoint=False):
        self.cuts_on_load = not from_checkpoint and is_fresh(self.options)
        model = super().build_model(cfg, from_checkpoint)
        if from_checkpoint:
            if self.shrinker is None:  # else a teacher, whose mode is its own
                self._insist_on_layer_norm(model)
            return model
        with one_line_errors():
            averaged = self.options.prune_store_ema
            self.shrinker = Shrinker(model, self.srp_plan, self.pruner.masked, averaged)
            if self.options.pretrained_model and is_fresh(self.options):
                self._start_from(model, self.options.pretrained_model)
        return model

    def _insist_on_layer_norm(self, model):
        """``--weighted-layernorm`` typed for fairseq-generate, whose models come from checkpoints."""
        if hasattr(model, "ask_layer_norm") and (self.options.weighted_layernorm or self.options.srp_plain_layernorm):
            model.ask_layer_norm(self.options.weighted_layernorm)

    def _start_from(self, model, path):
        try:
            model.load_state_dict(load_checkpoint(path)["model"], strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"--pretrained-model {path}: does not fit --arch {self.options.arch}: {reason}") from None

    def get_batch_iterator(self, dataset, *args, **kwargs):
        batches = super().get_batch_iterator(dataset, *args, **kwargs)
        if dataset is self.datasets.get(self.options.prune_train_subset):
            continues = self.options.prune_restore_file != "checkpoint_last.pt"
            if self.srp_plan.prunes and not continues and not self.has_sharded_data("train"):
                with one_line_errors():
                    limits = self.options.prune_max_epoch, self.options.prune_max_update
                    check_end(self.srp_plan, *limits, self._clock.updates_in)
        return batches

    def begin_epoch(self, epoch, model):
        if self._at is None:
            self.shrinker.count_parameters()
            self.shrinker.warn_of_half_shrunk()
            with one_line_errors():
                self.shrinker.check_start()
        super().begin_epoch(epoch, model)

    @property
    def unfinished(self):
        return self.shrinker.unfinished or super().unfinished

    def begin_valid_epoch(self, epoch, model):
        super().begin_valid_epoch(epoch, model)
        if self.shrinker.pending:
            hold_best(self.options.prune_maximize_best)

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False, **ema):
        if self._at is None:
            self._end_loading(ema.get("ema_model"))
        self._at = self._clock.at(self._completed_epochs, update_num)
        with one_line_errors():
            self.shrinker.before_update(optimizer, self._at, partial(self._score, criterion))
        self._connectivity = self.shrinker.value(self._at)
        result = super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad, **ema)
        self.shrinker.after_backward()
        return result

    def optimizer_step(self, optimizer, model, update_num):
        super().optimizer_step(optimizer, model, update_num)
        self.shrinker.after_step(optimizer, self._at)

    def _end_loading(self, ema_model):
        """Cut nothing more: before the first update all that is to be loaded has been."""
        for model in (self.shrinker.model, ema_model):
            if getattr(model, "cuts_on_load", False):
                model.cuts_on_load = False

    def _score(self, criterion):
        """Scores of all units over the first batches of a shuffled epoch, the same in every run of a seed."""
        model, plan = self.shrinker.model, self.srp_plan
        with self.scoring_batches(model, plan.score_batches, plan.seed) as batches:
            return connectivity_scores(model, criterion, batches, plan.score)

    def get_checkpoint_dict(self):
        own = super().get_checkpoint_dict()
        return {name: {**state, "srp": self.shrinker.state()} for name, state in own.items()}

    def set_checkpoint_dict(self, state):
        super().set_checkpoint_dict(state)
        if "srp" in state:
            with one_line_errors():
                self.shrinker.load_state(state["srp"])

    def reduce_metrics(self, logging_outputs, criterion):
        super().reduce_metrics(logging_outputs, criterion)
        if self.srp_plan.prunes and self.shrinker:
            metrics.log_scalar("connectivity", self._connectivity, weight=0, round=6, priority=251)
            metrics.log_scalar("params", self.shrinker.parameters_left, weight=0, round=0, priority=252)
