"""One-line messages to users."""

import errno
import os
import traceback
from collections.abc import Mapping

_ADVICE: dict[int | None, str] = {
    errno.EBUSY: "let it end or stop it, or give another place",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space, or give another place"),
}


def one_line(message: object) -> str:
    r"""Escape line breaks and whatever else does not print; a value that a user gave may hold any of them.

    Example:
        >>> print(one_line("--prune-target a\nb: give a fraction"))
        --prune-target a\nb: give a fraction
    """
    shown = (c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(message))
    return "".join(shown)


def say_which(error: OSError, named: Mapping[str, str]) -> str | None:
    """What the system says of a file, and the option by which the user named that file or its folder.

    Args:
        error: ``OSError``.
        named: dict of option as typed, or of what an argument is called in capitals, -> its value; paths are str.

    Returns:
        One line; None if the error is about nothing that an option names.
    """
    owners = [(option, value) for option, value in named.items() if _about(error.filename, value)]
    if not owners:
        return None
    option, value = max(owners, key=lambda owner: len(owner[1]))
    example = os.path.join("checkpoints", os.path.basename(os.path.abspath(value)))
    example = example if option.isupper() else f"{option} {example}"
    what = os.path.relpath(error.filename, value)
    what = str(error.filename) if what.startswith(os.pardir) else what
    reason = error.strerror if what == "." else f"{what}: {error.strerror}"
    advice = _ADVICE.get(error.errno, "give a place that can be written")
    return one_line(f"{option} {value}: {reason}; {advice}, e.g. {example}")


def _about(path, value):
    """True if a file is what an option names, or in it, or a folder on the way there that should be one."""
    if not (isinstance(path, (str, os.PathLike)) and isinstance(value, str) and value):
        return False
    one, other = (os.path.abspath(p).rstrip(os.sep) + os.sep for p in (path, value))
    return one.startswith(other) or other.startswith(one)


def in_short(error: BaseException, longest: int = 250) -> str:
    """What an error of other code says, its kind and where it was raised, for a line about the file that caused it.

    Args:
        error: ``Exception``; of a chain the first one.
        longest: characters of its message.
    """
    while error.__context__ is not None:
        error = error.__context__
    message = " ".join(str(error).split())
    message = message if len(message) <= longest else message[:longest] + "…"
    if message and isinstance(error, ValueError):
        return message
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(place.filename)}:{place.lineno}{message and ': '}{message}"
