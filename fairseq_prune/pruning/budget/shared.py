"""One overall fraction that is divided unequally among the layers."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True)
class SharedFraction:
    """A fraction that is written with a suffix, which says how layers share it.

    Args:
        fraction: removed of all layers together, in (0, 1).

    Attributes:
        suffix: of the class, e.g. ``"owl"``.
        by: what the shares go by, in words.
    """

    suffix: ClassVar[str]
    by: ClassVar[str]
    fraction: float

    @classmethod
    def parse(cls, text: str | float) -> Self:
        """Read e.g. ``0.7owl``.

        Raises:
            ValueError: anything else.
        """
        found = re.fullmatch(rf"(0?\.\d+){cls.suffix}", str(text).strip())
        if not found or not float(found[1]):
            raise ValueError(f"{text}: write 0.7{cls.suffix} for 70 % removed, by the layers' {cls.by}")
        return cls(float(found[1]))

    def __str__(self) -> str:
        return f"{self.fraction}{self.suffix}"
