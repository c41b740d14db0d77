"""The attacks: the norm of each, whether the size of its change is fixed or minimised, and how Foolbox builds it."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fairseq_prune.pruning.registry import Registry

NORMS = {"linf": math.inf, "l2": 2, "l1": 1}
FIXED, MINIMAL = "fixed", "minimal"
ATTACKS: Registry["Attack"] = Registry("attack")


@dataclass(frozen=True)
class Attack:
    """A row of the table.

    Attributes:
        name: as typed.
        norm: a name in :data:`NORMS`.
        kind: ``"fixed"`` looks for a change of at most a given norm, ``"minimal"`` for the smallest change.
        steps: number of steps; None if it cannot be chosen.
        build: function (foolbox.attacks, steps) -> Foolbox's attack.
    """

    name: str
    norm: str
    kind: str
    steps: int | None
    build: Callable


def _pgd(attacks, steps):
    """With steps that reach the far side, up to two epsilons from a random start; Foolbox's default steps do not."""
    return attacks.LinfPGD(steps=steps, rel_stepsize=2.5 / steps)


for row in (
    Attack("fgsm", "linf", FIXED, None, lambda attacks, _: attacks.LinfFastGradientAttack()),
    Attack("fgsm_l1", "l1", FIXED, None, lambda attacks, _: attacks.L1FastGradientAttack()),
    Attack("pgd", "linf", FIXED, 40, _pgd),
    Attack("deepfool", "l2", MINIMAL, 50, lambda attacks, n: attacks.L2DeepFoolAttack(steps=n)),
    Attack("cw", "l2", MINIMAL, 10000, lambda attacks, n: attacks.L2CarliniWagnerAttack(steps=n)),
    Attack("ddn", "l2", MINIMAL, 100, lambda attacks, n: attacks.DDNAttack(steps=n)),
    Attack("salt_pepper", "l2", MINIMAL, 1000, lambda attacks, n: attacks.SaltAndPepperNoiseAttack(steps=n)),
    Attack(
        "gaussian_noise", "l2", FIXED, 100, lambda attacks, n: attacks.L2RepeatedAdditiveGaussianNoiseAttack(repeats=n)
    ),
):
    ATTACKS.add(row.name)(row)


def load_foolbox() -> Any:
    """Import Foolbox.

    Returns:
        The module.

    Raises:
        ValueError: it is not installed, or cannot run here.
    """
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # its zoo imports GitPython, which fails without git
    try:
        import foolbox
    except ImportError as error:
        raise ValueError(f"attacks need Foolbox ({error}): pip install 'fairseq-prune[attack]'") from None
    return foolbox
