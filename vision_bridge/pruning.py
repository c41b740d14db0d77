"""What the vision task adds to pruning: structure found by tracing, fractions by GReg's grammar or by cost."""

from typing import Any

from fairseq.optim import FairseqOptimizer

from fairseq_prune.engine.costs import measured_costs, parameter_costs
from fairseq_prune.engine.mixin import PruneMixin
from fairseq_prune.engine.plan import Plan
from fairseq_prune.needs import refuse_idle_fields
from fairseq_prune.pruning.budget.cost import Costs
from fairseq_prune.pruning.budget.given import Target
from fairseq_prune.pruning.selecting.selector import Selector
from fairseq_prune.pruning.surgery.structure import Structure
from fairseq_prune.pruning.units import CoupledUnits, is_coupled, parse_units

from .cost import layer_costs
from .data.options import ImageOptions
from .models.classifier import ImageClassifier
from .pruning_options import VisionPruningOptions, add_vision_options
from .ratios.inherited import Base
from .ratios.layers import PREFIX, find_layers
from .ratios.stage_pr import layer_ratios
from .ratios.targets import targets_of_vectors, targets_of_weights
from .reinit import reinitialise
from .surgery.trace import refuse_untraceable, trace


class VisionPruning(PruneMixin):
    """Mixin for image tasks; comes before the task among the base classes."""

    _structure: Structure | None = None

    @classmethod
    def pruning_options(cls, cfg: VisionPruningOptions) -> dict[str, Any]:
        return add_vision_options(cfg, super().pruning_options(cfg))

    @classmethod
    def check_model(cls, plan: Plan, config: Any) -> None:
        """The mixin's check: refuse image options without effect, and coupled units of nets that cannot be traced."""
        refuse_idle_fields(ImageOptions, config.task, config.task)
        if plan.prunes and is_coupled(parse_units(plan.units)):
            refuse_untraceable(getattr(config, "model", None), plan.asked("units"))

    def find_structure(self, model: ImageClassifier) -> Structure:
        """The coupled channels, found by tracing."""
        self._structure = trace(model.net, model.example(), PREFIX)
        return self._structure

    @property
    def _traced(self) -> Structure:
        """The structure of the model that is pruned."""
        assert self._structure is not None  # the selector of its units was built from it
        return self._structure

    def find_permutable(self, model: ImageClassifier) -> Structure:
        """As :meth:`find_structure`: all its units can be reordered."""
        return self.find_structure(model)

    def find_targets(self, selector: Selector, model: ImageClassifier, target: Target) -> Target:
        """Fractions from ``--stage-pr``, another run, a cost budget, or ``--prune-target``."""
        options, groups = self.options, list(selector.groups)
        if options.base_pr_model is not None:
            return self._inherit(selector, dict(model.named_parameters()))
        if options.stage_pr is not None:
            ratios = layer_ratios(find_layers(model.net), options.stage_pr, options.skip_layers, self.plan.units)
            units = parse_units(self.plan.units)
            if isinstance(units, CoupledUnits):
                return targets_of_vectors(self._traced, groups, ratios, units.side)
            return targets_of_weights(groups, ratios)
        return super().find_targets(selector, model, target)

    def find_costs(self, model: ImageClassifier, of: str) -> Costs | None:
        """Parameters, or multiply-accumulates for one image."""
        return parameter_costs(model) if of == "params" else measured_costs(model, lambda: model(model.example()))

    def _inherit(self, selector, parameters):
        base = Base(self.options.base_pr_model, self.plan.target["inherit_pruned"] == "index")
        if is_coupled(parse_units(self.plan.units)):
            targets, selector.inherited = base.of_units(self._traced, list(selector.groups), parameters)
        else:
            targets, selector.inherited = base.of_weights(list(selector.groups), parameters)
        return targets

    def before_update(self, optimizer: FairseqOptimizer) -> None:
        """As in :class:`~fairseq_prune.engine.mixin.PruneMixin`; then apply ``--reinit``."""
        pending = self.pruner.pending
        super().before_update(optimizer)
        if self.options.reinit and pending and not self.pruner.pending:
            reinitialise(self._model, self.options.reinit, self.plan.seed, optimizer)
            self.pruner.masked.mask_values(optimizer)

    def costs(self, model: ImageClassifier) -> dict[str, int]:
        """Parameters, and multiply-accumulates for one image."""
        macs = layer_costs(model.net, model.example())
        counts = {"macs": sum(c.macs for c in macs), "nonzero_macs": sum(c.nonzero_macs for c in macs)}
        return super().costs(model) | counts
