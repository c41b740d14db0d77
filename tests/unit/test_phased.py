"""The scheduler ``phased`` and what the pruner tells it, also in a run that goes on from another."""

import pytest
from fairseq import optim
from omegaconf import OmegaConf
from torch import nn

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.optim.phased import Phased, PhasedConfig
from fairseq_prune.pruning.times import Position

ONCE = {"method": "magnitude", "target": 0.5, "start": "4up"}  # two updates are an epoch here


class Training:
    """A model, its pruner and its scheduler; what a run that goes on loads comes from another one."""

    def __init__(self, before=None, **plan):
        net = nn.Linear(4, 4)
        cfg = OmegaConf.create({"_name": "sgd", "lr": [0.1], "momentum": 0.0, "weight_decay": 0.0})
        self.optimizer = optim.build_optimizer(cfg, list(net.parameters()))
        self.scheduler = Phased(PhasedConfig(prune_lr=0.5, lr_ft="0:0.3,1:0.2,2:0.1"), self.optimizer)
        self.pruner = Pruner(net, make_plan(plan))
        if before:
            self.scheduler.load_state_dict(before.scheduler.state_dict())
            self.pruner.load_state(before.pruner.state())

    def rates(self, updates):
        """Learning rates in force, a list."""
        found = []
        for update in updates:
            self.scheduler.step_begin_epoch(1 + update // 2)
            self.pruner.before_update(self.optimizer, Position(update // 2, update))
            self.scheduler.begin_finetuning(self.pruner.removed_in_epoch)
            found.append(self.optimizer.get_lr())
        return found


TABLES = {
    "none": ({"method": "none"}, [0.3, 0.3, 0.2, 0.2, 0.1, 0.1]),
    "once": (ONCE, [0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.2, 0.2]),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_interrupted_equals_uninterrupted(name, stop):
    plan, table = TABLES[name]
    assert Training(**plan).rates(range(len(table))) == table
    first = Training(**plan)
    assert first.rates(range(stop)) + Training(first, **plan).rates(range(stop, len(table))) == table


def test_pruning_that_follows_training_has_its_own_rate():
    first = Training(method="none")
    first.rates(range(3))
    assert Training(first, **ONCE).rates(range(3, 8)) == [0.5, 0.3, 0.3, 0.2, 0.2]
