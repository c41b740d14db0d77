"""Registries that refuse duplicate names and suggest the closest for unknown ones."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar, cast

Entry = TypeVar("Entry")
Own = TypeVar("Own")  # what is stored keeps its own, narrower type


def closest(name: object, known: Iterable[object]) -> str:
    """Say what a misspelt name may have meant.

    Args:
        name: what was given.
        known: the names that exist.

    Returns:
        ``"; did you mean 'x'?"``, or an empty string when nothing is close.
    """
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


class Registry(dict[Any, Entry]):
    """A dict that refuses overwrites and explains unknown names.

    Args:
        kind: what the entries are, as it reads in an error message, e.g. ``"importance"``.

    Example:
        >>> COLOURS = Registry("colour")
        >>> COLOURS.add("red", "crimson")(0xFF0000)
        16711680
        >>> COLOURS["crimson"]
        16711680
        >>> COLOURS["rde"]
        Traceback (most recent call last):
        ...
        ValueError: unknown colour 'rde'; did you mean 'red'? known: crimson, red
    """

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def add(self, *names: Any) -> Callable[[Own], Own]:
        """Return a decorator that stores its argument under every name; a class can be one, too.

        Raises:
            ValueError: a name is taken by something else.
        """

        def store(entry: Own) -> Own:
            for name in names:
                if name in self and self[name] is not entry:
                    raise ValueError(f"{self.kind} {name!r} is already registered")
                self[name] = cast(Entry, entry)
            return entry

        return store

    def __missing__(self, name: object) -> NoReturn:
        raise ValueError(
            f"unknown {self.kind} {name!r}{closest(name, self) or ';'} known: {', '.join(sorted(map(str, self)))}"
        )
