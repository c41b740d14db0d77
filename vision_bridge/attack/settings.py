"""The settings of an evaluation under attack."""

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

from .table import ATTACKS, NORMS, Attack

EPSILONS = {"linf": "1/255,2/255,4/255,8/255,16/255", "l2": "0.25,0.5,1,2", "l1": "2,4,8,16"}
EXAMPLES = {"linf": "8/255", "l2": "0.5", "l1": "8"}


@dataclass(frozen=True)
class AttackSettings:
    """The options of ``fairseq-prune attack``, checked.

    Attributes:
        attacks: list of :class:`~.table.Attack`.
        epsilons: dict of norm -> dict of epsilon as typed -> float.
        batches: number of batches.
        batch_size: images in a batch (count).
        seed: integer.
    """

    attacks: list[Attack]
    epsilons: dict[str, dict[str, float]]
    batches: int
    batch_size: int
    seed: int

    @classmethod
    def read(cls, options: Namespace, pixels: int) -> Self:
        """Read and check the options.

        Args:
            options: the command's options, as attributes.
            pixels: pixels of an image times its channels (count).

        Raises:
            ValueError: a value is not valid; the message names the option, the value and a valid example.
        """
        for option, value in (("--batches", options.batches), ("--batch-size", options.batch_size)):
            if value < 1:
                raise ValueError(f"{option} {value}: at least 1; give e.g. {option} 4")
        attacks = read_attacks(options.attacks, options.steps)
        used = [norm for norm in NORMS if any(attack.norm == norm for attack in attacks)]
        return cls(attacks, read_epsilons(options.eps, used, pixels), options.batches, options.batch_size, options.seed)


def read_attacks(names: str, steps: str | None) -> list[Attack]:
    """Look up the attacks.

    Args:
        names: names separated by commas, or ``"all"``.
        steps: ``"name=count,..."``, or None.

    Returns:
        List of :class:`~.table.Attack`, each once.

    Raises:
        ValueError: an attack is unknown or takes no steps, or a count is below 1.
    """
    asked = list(ATTACKS) if names == "all" else [name.strip() for name in names.split(",")]
    chosen = {name: ATTACKS[name] for name in asked}
    for part in steps.split(",") if steps else ():
        name, _, count = part.strip().partition("=")
        if ATTACKS[name].steps is None:
            raise ValueError(f"--steps {part}: {name} takes one step; give e.g. --steps pgd=100")
        if not count.isdecimal() or int(count) < 1:
            raise ValueError(f"--steps {part}: not NAME=N with N at least 1; give e.g. --steps {name}=100")
        if name not in chosen:
            raise ValueError(f"--steps {part}: {name} is not among --attacks {','.join(chosen)}")
        chosen[name] = replace(chosen[name], steps=int(count))
    return list(chosen.values())


def read_epsilons(text: str | None, norms: Sequence[str], pixels: int) -> dict[str, dict[str, float]]:
    """Read ``--eps``: one list for all norms, or ``linf=LIST;l2=LIST;l1=LIST``.

    Args:
        text: value of the option; None for the defaults, which also apply to norms that it does not name.
        norms: norms of the attacks.
        pixels: pixels of an image times its channels (count).

    Returns:
        dict of norm -> dict of epsilon as typed -> float, ascending.

    Raises:
        ValueError: it is malformed, names a norm of no attack, or a size that no change of pixels in [0, 1] can have.
    """
    lists = {norm: EPSILONS[norm] for norm in norms}
    if text and "=" not in text:
        lists = dict.fromkeys(norms, text)
    for part in text.split(";") if text and "=" in text else ():
        norm, _, numbers = part.strip().partition("=")
        if norm not in norms:
            raise ValueError(
                f"--eps {part}: norms of the attacks are {', '.join(norms)}; give e.g. --eps {norms[0]}=0.1"
            )
        lists[norm] = numbers
    return {
        norm: _sorted(_read(word.strip(), norm, pixels) for word in words.split(",")) for norm, words in lists.items()
    }


def _read(word, norm, pixels):
    largest = {"linf": 1, "l2": math.sqrt(pixels), "l1": pixels}[norm]
    example = f"give e.g. --eps '{norm}={EXAMPLES[norm]}'"
    try:
        value = float(Fraction(word))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"--eps {word}: not a number; {example}") from None
    if not 0 <= value <= largest:
        raise ValueError(f"--eps {word}: pixels are in [0, 1], so {norm} norms are in [0, {largest:g}]; {example}")
    return word, value


def _sorted(pairs):
    return dict(sorted(pairs, key=lambda pair: pair[1]))
