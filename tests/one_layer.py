"""One linear layer that is pruned while it trains, without fairseq's trainer."""

import copy

import torch
from fairseq.optim import FairseqOptimizer
from torch import nn
from torch.nn import functional as F

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.pruning.times import Position

X = torch.randn(16, 8, generator=torch.Generator().manual_seed(1))
Y = torch.randn(16, 6, generator=torch.Generator().manual_seed(2))


class Optimizer(FairseqOptimizer):
    """As fairseq wraps those of torch."""

    def __init__(self, optimizer):
        super().__init__(None)
        self._optimizer = optimizer


class Training:
    """One linear layer, its pruner, and steps as fairseq's trainer takes them."""

    def __init__(self, momentum=0.0, lr=0.1, **options):
        torch.manual_seed(3)
        self.model = nn.Linear(8, 6, bias=False)
        self.optimizer = Optimizer(torch.optim.SGD(self.model.parameters(), lr=lr, momentum=momentum))
        self.pruner = Pruner(self.model, make_plan({"target": 0.5, **options}))
        self.pruner.check_start()
        self.updates = 0

    @property
    def weight(self):
        return self.model.weight.detach().clone()

    def step(self, x=X, y=Y, loss=None):
        """Of a squared error, or of a loss of the weight. Returns the weights that it saw, and their gradient."""
        self.pruner.before_update(self.optimizer, Position(0, self.updates))
        self.model.zero_grad()
        with self.pruner.in_training():
            seen = self.weight
            (loss(self.model.weight) if loss else F.mse_loss(self.model(x), y, reduction="sum").div(16)).backward()
        gradient = self.model.weight.grad.clone()
        self.pruner.before_step(self.optimizer)
        self.optimizer.optimizer.step()
        self.pruner.after_step(self.optimizer, Position(0, self.updates))
        self.updates += 1
        return seen, gradient

    def validated(self):
        self.pruner.before_validation()
        with self.pruner.in_validation():
            return self.weight

    def resumed(self):
        other = Training.__new__(Training)
        other.__dict__.update(self.__dict__)
        other.model = nn.Linear(8, 6, bias=False)
        optimizer = torch.optim.SGD(other.model.parameters(), lr=0.1)
        optimizer.load_state_dict(self.optimizer.optimizer.state_dict())
        other.optimizer = Optimizer(optimizer)
        other.pruner = Pruner(other.model, self.pruner.plan)
        other.model.load_state_dict(self.model.state_dict())
        other.pruner.load_state(copy.deepcopy(self.pruner.state()))
        other.pruner.check_start()
        return other
