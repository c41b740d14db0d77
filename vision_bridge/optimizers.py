"""torch's optimizers that SNIP-it uses and fairseq lacks: RMSprop, and Adam with coupled weight decay."""

from dataclasses import dataclass, field
from typing import ClassVar, List

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II


class _OfTorch(FairseqOptimizer):
    """A torch optimizer wrapped for fairseq; it updates each weight independently."""

    made_by: ClassVar[type[torch.optim.Optimizer]]

    def __init__(self, cfg, params):
        super().__init__(cfg)
        self._optimizer = self.made_by(params, **self.optimizer_config)

    @property
    def supports_flat_params(self):
        """True: weights may be one flat tensor."""
        return True


@dataclass
class RMSpropConfig(FairseqDataclass):
    """Options of torch's RMSprop."""

    rmsprop_alpha: float = field(default=0.99, metadata={"help": "share of the old mean of squared gradients"})
    rmsprop_eps: float = field(default=1e-8, metadata={"help": "added to the root of that mean"})
    momentum: float = field(default=0.0, metadata={"help": "share of the old step"})
    weight_decay: float = field(default=0.0, metadata={"help": "share of the weights added to their gradients"})
    lr: List[float] = II("optimization.lr")


@register_optimizer("rmsprop", dataclass=RMSpropConfig)
class RMSprop(_OfTorch):
    """Divides each gradient by the square root of a running mean of its squares."""

    made_by = torch.optim.RMSprop

    @property
    def optimizer_config(self):
        """Arguments of torch's optimizer; they override those in a checkpoint."""
        return {
            "lr": self.cfg.lr[0],
            "alpha": self.cfg.rmsprop_alpha,
            "eps": self.cfg.rmsprop_eps,
            "momentum": self.cfg.momentum,
            "weight_decay": self.cfg.weight_decay,
        }


@dataclass
class CoupledAdamConfig(FairseqDataclass):
    """Options of Adam; all others have torch's defaults, which are also fairseq's."""

    weight_decay: float = field(default=0.0, metadata={"help": "share of the weights added to their gradients"})
    lr: List[float] = II("optimization.lr")


@register_optimizer("coupled_adam", dataclass=CoupledAdamConfig)
class CoupledAdam(_OfTorch):
    """torch's Adam, with weight decay as an L2 penalty; fairseq's ``adam`` decouples the decay from the gradient."""

    made_by = torch.optim.Adam

    @property
    def optimizer_config(self):
        """Arguments of torch's optimizer; they override those in a checkpoint."""
        return {"lr": self.cfg.lr[0], "weight_decay": self.cfg.weight_decay}
