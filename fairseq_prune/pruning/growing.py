"""Penalties that grow until what they act on is removed: when they grow, by how much, and when to stop.

Source: Wang et al., ICLR 2021 (arXiv:2012.09243), GReg-1 (eq. 2) and GReg-2 (algorithm 1). The penalty of
a weight w is w^2 times half of its factor. All factors of a layer have one of two values: that of the units
that are removed, which grows, and that of the units that are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

FILE = "growth.jsonl"  # beside a run's checkpoints: what units have come to
RATIO_DECAY = 0.9  # of the running mean of a layer's magnitude ratio


@dataclass(frozen=True)
class Growth:
    """How a penalty grows.

    Args:
        interval: updates between two changes (count).
        stabilise: updates for which the penalty stays, once all layers have finished (count).
        limit: a layer has finished when its factor is above.
        step: what is added for units that are removed.
        picks: False (GReg-1): the units that are removed are chosen at the start. True (GReg-2): first the penalty
            grows for all units; those that are removed are chosen when it reaches ``pick_limit``.
        pick_limit: factor at which they are chosen.
        pick_step: what is added for all units until then.
        recover: factor of the units that are kept, afterwards.
        ratio_limit: a layer has also finished when the units that are kept are so many times larger, on average,
            than those that are removed; infinite for single weights.
        stop_scope: ``"global"``: only when all layers are; ``"layer"``: each by itself.
        blocks_loss: the penalty replaces the gradient of the loss (an ablation).
        norms: it acts on the biases and the norms' scales and shifts of the units that are removed, too.
    """

    interval: int = 5
    stabilise: int = 40000
    limit: float = 1.0
    step: float = 1e-4
    picks: bool = False
    pick_limit: float = 1e-2
    pick_step: float = 1e-5
    recover: float = -1e-4
    ratio_limit: float = 1000.0
    stop_scope: str = "global"
    blocks_loss: bool = False
    norms: bool = False

    epochs_needed, evidence = 0, None
    shorter = "--reg-fit with --prune-end"

    @property
    def updates_needed(self) -> int:
        """Until the units are removed where no layer has finished by its magnitude ratio."""
        changes, factor = 0, 0.0
        if self.picks:
            changes, factor = _changes_until(np.greater_equal, self.pick_limit, self.pick_step)
        more, _ = _changes_until(np.greater, self.limit, self.step, factor)
        return (changes + more - 1) * self.interval + self.stabilise + 1


_LONG = 10**7  # changes; a run that had more would not end in a lifetime


def _changes_until(compares, limit, step, start=0.0):
    """(Count of changes until a float32 factor that grows from a start compares with a limit so, the factor then)."""
    most = int(min(_LONG, 2 + 1.01 * max(limit - start, 0) / step))
    factors = np.cumsum(np.append(np.float32(start), np.full(most, step, np.float32)), dtype=np.float32)[1:]
    found = np.flatnonzero(compares(factors.astype(np.float64), limit))
    first = int(found[0]) if len(found) else most - 1
    return first + 1, float(factors[first])


@dataclass(frozen=True)
class Layer:
    """The state of one layer's penalty.

    Args:
        factor: of the units that are removed; added up in float32.
        kept: of the units that are kept.
        ratio: running mean of its magnitude ratio; None before the first.
        through: True once it stopped growing.
    """

    factor: float = 0.0
    kept: float = 0.0
    ratio: float | None = None
    through: bool = False


def grow(
    growth: Growth, layers: Mapping[str, Layer], picked: bool, ratios: Mapping[str, float]
) -> tuple[dict[str, Layer], bool]:
    """One change of the penalty, at every ``interval`` updates.

    Args:
        growth: :class:`Growth`.
        layers: dict of layer name -> :class:`Layer`.
        picked: False while a :class:`Growth` that picks has not.
        ratios: dict of layer name -> magnitude ratio now, for layers that have not finished; empty without any.

    Returns:
        (dict of layers afterwards, True if the units that are removed are to be chosen now).
    """
    layers = {name: _grown(growth, layer, picked, ratios.get(name)) for name, layer in layers.items()}
    if not picked:
        return layers, max(layer.factor for layer in layers.values()) >= growth.pick_limit
    separated = {name: layer.ratio is not None and layer.ratio >= growth.ratio_limit for name, layer in layers.items()}
    if growth.stop_scope == "global":
        separated = dict.fromkeys(layers, all(separated.values()))
    return {
        name: replace(layer, through=layer.through or layer.factor > growth.limit or separated[name])
        for name, layer in layers.items()
    }, False


def _grown(growth, layer, picked, ratio):
    if layer.through:
        return layer
    step = growth.step if picked else growth.pick_step
    factor = float(np.float32(layer.factor) + np.float32(step))
    if ratio is not None and layer.ratio is not None:
        ratio = RATIO_DECAY * layer.ratio + (1 - RATIO_DECAY) * ratio
    kept = (growth.recover if picked else factor) if growth.picks else 0.0
    return replace(layer, factor=factor, kept=kept, ratio=layer.ratio if ratio is None else ratio)


def magnitude_ratio(scores: Tensor, removed: Tensor) -> float:
    """How many times larger the units that are kept are than those that are removed.

    Args:
        scores: mean magnitude of each unit, float [units].
        removed: bool [units].

    Returns:
        float; infinite where all that is removed is zero.
    """
    return float(scores[~removed].mean() / scores[removed].mean())


SHARE_OF_STABILISING = 0.1
SHARE_OF_PICKING = 0.09  # of the changes; 1,001 of 10,901 in the original


def fit(growth: Growth, updates: int) -> Growth:
    """Scale a penalty so that it reaches its limit and stabilises within a number of updates.

    Source: ours; the original needs 110,000 updates or more. A tenth of them stabilises.

    Args:
        growth: :class:`Growth`; its steps are replaced.
        updates: from the start to the removal (count).

    Returns:
        :class:`Growth`.

    Raises:
        ValueError: there are too few updates to grow in.
    """
    stabilise = round(SHARE_OF_STABILISING * updates)
    changes = (updates - stabilise) // growth.interval
    if changes < 2:
        raise ValueError(f"{updates} updates are too few to grow in, {growth.interval} apart; give e.g. 2000")
    if not growth.picks:
        return replace(growth, stabilise=stabilise, step=growth.limit / changes)
    picking = max(1, round(SHARE_OF_PICKING * changes))
    return replace(
        growth,
        stabilise=stabilise,
        pick_step=growth.pick_limit / picking,
        step=(growth.limit - growth.pick_limit) / (changes - picking),
    )


def contraction(growth: Growth, learning_rate: float, momentum: float = 0.0) -> float:
    """The exponent x by which a penalty alone shrinks a weight, to e^-x of its size.

    Args:
        growth: :class:`Growth`.
        learning_rate: constant.
        momentum: of SGD; 0 for decoupled decay.

    Returns:
        float; the learning rate times the sum of the factors over all updates, by 1 - momentum.
    """
    picking = growth.pick_limit / growth.pick_step if growth.picks else 0
    growing = (growth.limit - (growth.pick_limit if growth.picks else 0)) / growth.step
    area = growth.interval * (picking * growth.pick_limit / 2 + growing * growth.limit / 2)
    return learning_rate / (1 - momentum) * (area + growth.stabilise * growth.limit)
