"""Options that have no effect without others: each declares what it needs, and is refused where that is missing."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Need:
    """What an option needs to have an effect.

    Args:
        holds: function of what describes the run (its options, its plan) -> True where the option has an effect.
        example: what to give, e.g. ``--rounds 20``.
    """

    holds: Callable[[Any], bool]
    example: str

    def require(self, option: str, value: object, known: object) -> None:
        """Refuse an option without effect.

        Args:
            option: as typed, e.g. ``--epochs``.
            value: that the user gave; True of an option without one.
            known: the argument of :attr:`holds`.

        Raises:
            ValueError: naming the option, its value and what it needs.
        """
        if not self.holds(known):
            if isinstance(value, Sequence) and not isinstance(value, str):  # argparse's, OmegaConf's
                value = " ".join(map(str, value))
            said = option if value is True else f"{option} {value}"
            raise ValueError(f"{said}: has no effect here; leave it out, or give e.g. {self.example}")


def spelt(name: str) -> str:
    """An option as typed, for the name of its field."""
    return "--" + name.replace("_", "-")


def refuse_idle_fields(config: type, cfg: object, known: object) -> None:
    """Refuse options of a config class that were given, that is, differ from their default, and have no effect.

    Args:
        config: dataclass. In a field's metadata ``needs`` may be a :class:`Need`; ``unset`` is the value that stands
            for "not given" where the default is a reference to another group of the config.
        cfg: the values.
        known: the argument of :attr:`Need.holds`.

    Raises:
        ValueError: as :meth:`Need.require`.
    """
    for field in fields(config):
        unset = field.metadata.get("unset", field.default)
        value = getattr(cfg, field.name, unset)
        if "needs" in field.metadata and value != unset:
            field.metadata["needs"].require(spelt(field.name), value, known)


class OptionParser(argparse.ArgumentParser):
    """A parser whose options may have a :class:`Need`: ``add_argument("--epochs", needs=Need(...))``."""

    def __init__(self, *given: Any, **how: Any):
        self.needs: dict[argparse.Action, Need] = {}
        super().__init__(*given, **how)

    def add_argument(self, *names: str, needs: Need | None = None, **how: Any) -> argparse.Action:
        """As argparse's."""
        action = super().add_argument(*names, **how)
        if needs:
            self.needs[action] = needs
        return action

    def refuse_empty(self, args: argparse.Namespace) -> None:
        """Refuse values without a character, as of a variable that a shell does not know: it would name this folder.

        Args:
            args: of :meth:`parse_args`.

        Raises:
            ValueError: naming the option, or what an argument is called in the help.
        """
        for action in self._actions:
            value = getattr(args, action.dest, None)
            if "" in (value if isinstance(value, list) and action.nargs != argparse.REMAINDER else [value]):
                name = (action.option_strings or [str(action.metavar)])[0]
                raise ValueError(f"{name} '': is empty; give a value, or see --help for one")

    def refuse_idle(self, args: argparse.Namespace) -> None:
        """Refuse options that were given and have no effect.

        Args:
            args: of :meth:`parse_args`; the argument of :attr:`Need.holds`.

        Raises:
            ValueError: as :meth:`Need.require`.
        """
        for action, need in self.needs.items():
            value = getattr(args, action.dest, action.default)
            if value != action.default:
                need.require(action.option_strings[0], value, args)
