"""``--optimizer srp_adam``: fairseq's Adam in its plain implementation."""

from ast import literal_eval
from collections.abc import Iterable

from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import Adam, FairseqAdam, FairseqAdamConfig

from ..errors import one_line_errors


@register_optimizer("srp_adam", dataclass=FairseqAdamConfig)
class SrpAdam(FairseqAdam):
    """fairseq's ``adam`` without apex, also on GPUs.

    ``adam`` takes apex's fused kernels where they are installed. Those may keep moments that cannot
    be cut along with the weights; here there are one ``exp_avg`` and one ``exp_avg_sq`` of every
    parameter's shape. Without apex the two optimizers are the same to the bit. ``--use-old-adam``
    asks ``adam`` for the same and changes nothing here.

    Args:
        cfg: config with ``lr``, ``adam_betas``, ``adam_eps`` and ``weight_decay``.
        params: parameters, or groups of them.

    Raises:
        SystemExit: ``--adam-betas`` is no pair, or ``--fp16-adam-stats``, which only apex has.
    """

    def __init__(self, cfg: FairseqAdamConfig, params: Iterable):
        FairseqOptimizer.__init__(self, cfg)
        with one_line_errors():
            _check(cfg)
        self._optimizer = Adam(params, **self.optimizer_config)


def _check(cfg):
    if cfg.fp16_adam_stats:
        raise ValueError("--fp16-adam-stats: srp_adam keeps fp32 moments; leave it out, or use --optimizer adam")
    betas = cfg.adam_betas
    try:
        first, second = literal_eval(betas) if isinstance(betas, str) else betas
        valid = 0 <= first < 1 and 0 <= second < 1
    except (SyntaxError, TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(f"--adam-betas {betas}: give two numbers in [0, 1), e.g. '(0.9, 0.98)'")
