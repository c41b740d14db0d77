"""The part of a task that scores its model: over which batches, and by which criterion."""

import contextlib
import itertools
import logging
from collections.abc import Iterator
from typing import Any

import torch
from fairseq import utils
from fairseq.criterions import FairseqCriterion
from fairseq.data import data_utils
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ..pruning.budget.cost import Costs
from ..pruning.times import Position
from . import ranks
from .account import Account
from .costs import measured_costs
from .evidence import KINDS, gather
from .plan import Plan
from .pruner import Pruner
from .task_loss import loss_of

logger = logging.getLogger(__name__)


class ScoringMixin(FairseqTask):
    """The part of :class:`~.mixin.PruneMixin` that scores its model; the attributes declared here are set there.

    Attributes:
        scoring_criterion: the one that trains, as it was at the last update.
    """

    plan = Plan()
    options: Any = None
    pruner: Pruner
    account: Account
    scoring_criterion: FairseqCriterion
    _completed_epochs, _position = 0, Position()

    @contextlib.contextmanager
    def scoring_batches(self, model: BaseFairseqModel, count: int, seed: int) -> Iterator[Iterator[dict[str, Any]]]:
        """The first batches of a shuffled epoch, the same in every run of a seed; this rank's share of them.

        Args:
            model: that they are for.
            count: of batches over all ranks.
            seed: of the shuffle.
        """
        options = self.options
        positions = utils.resolve_max_positions(self.max_positions(), model.max_positions(), options.prune_max_tokens)
        with torch.random.fork_rng(devices=[]):  # a data loader draws a number
            batches = super().get_batch_iterator(
                self.dataset(options.prune_train_subset),
                max_tokens=options.prune_max_tokens,
                max_sentences=options.prune_batch_size,
                max_positions=positions,
                ignore_invalid_inputs=True,
                required_batch_size_multiple=options.prune_batch_multiple,
                seed=seed,
                disable_iterator_cache=True,
            )
            epoch = batches.next_epoch_itr(shuffle=True)
            if Plan.batches < count > len(epoch) > 0:  # more than one gets without asking
                logger.warning(f"--prune-batches {count}: the training set has {len(epoch)}, all of which are used")
            mine = itertools.islice(epoch, ranks.rank(), count, ranks.world_size())
            device = next(model.parameters()).device
            yield (utils.move_to_cuda(b, device) if device.type == "cuda" else b for b in mine)
        self.dataset(options.prune_train_subset).set_epoch(self._completed_epochs + 1)  # the iterator said 1

    def measure(self, model: BaseFairseqModel) -> Costs | None:
        """Multiply-accumulates of the first training sample, of each pair of languages; None without data."""
        split = self.options.prune_train_subset
        if split not in self.datasets:
            return None
        with data_utils.numpy_seed(1):
            sample = self.dataset(split).collater([self.dataset(split)[0]])
        device = next(model.parameters()).device
        sample = utils.move_to_cuda(sample, device) if device.type == "cuda" else sample
        pairs = [(model, sample)] if "net_input" in sample else [(model.models[pair], sample[pair]) for pair in sample]
        return measured_costs(model, lambda: [one(**part["net_input"]) for one, part in pairs])

    def gather_evidence(self, model: BaseFairseqModel, kind: str, event: int) -> Any:
        """The evidence of an event, as :func:`~.evidence.gather` over :attr:`plan`'s batches; counted as cost.

        Args:
            model: that is scored.
            kind: of evidence.
            event: number of the schedule's event, from 1.
        """
        seed = self.pruner.seed + (event if KINDS[kind].redrawn else 0)
        with self.scoring_batches(model, self.plan.batches, seed) as batches:
            samples = list(batches)
            loss = loss_of(self, self.scoring_criterion, self._position.updates)
            found = gather(kind, model, loss, samples, self.pruner.targets.unit_sums)
        mine = torch.tensor(float(sum(sample.get("nsentences", 0) for sample in samples)))
        device = next(model.parameters()).device
        sentences = round(ranks.world_size() * float(ranks.average(mine.to(device))))
        self.account.spend_scoring(KINDS[kind].passes(model), sentences)
        return found
