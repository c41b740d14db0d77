"""The options of all approaches, in the one dataclass that fairseq needs."""

from collections.abc import Mapping
from dataclasses import field, make_dataclass, replace
from typing import Any, Optional, cast

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)

from ..needs import spelt
from ..pruning.schedule import Schedule
from .approach import APPROACHES, ApproachSettings
from .option import Option

OPTIONS: dict[str, Option] = {option.name: option for kind in APPROACHES.values() for option in kind.options}


def _field(option):
    """What fairseq's parser reads; a switch is off, and None means the method's own value."""
    metadata = {"help": option.help} | ({"needs": option.needs} if option.needs else {})
    kind, default = (bool, False) if option.type is bool else (Optional[option.type], None)
    return option.name, kind, field(default=default, metadata=metadata)


ApproachOptions = make_dataclass(
    "ApproachOptions",
    map(_field, OPTIONS.values()),
    bases=(FairseqDataclass,),
    namespace={"__doc__": "How weights are removed that are not removed at once.", "__module__": __name__},
)


def given_approach(cfg: Any) -> dict[str, Any]:
    """Options of approaches that a run was given, dict of name -> value."""
    values = {name: getattr(cfg, name, None) for name in OPTIONS}
    return {name: value for name, value in values.items() if value is not None and value is not False}  # 0 is given


def read_approach(
    method: str,
    approach: ApproachSettings | None,
    options: Mapping[str, Any],
    schedule: Schedule,
    single_weights: bool,
) -> ApproachSettings | None:
    """The settings of a method's approach with the user's options.

    Args:
        method: its name.
        approach: the method's own settings, of a class in :data:`~.approach.APPROACHES`; None for methods without.
        options: from :func:`given_approach`.
        schedule: of the run.
        single_weights: True if units are single weights, which have no magnitude ratio.

    Returns:
        Settings of the same class, or None.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    own = {option.name: option for option in options_of(approach)}
    for name, value in options.items():
        if name not in own:
            raise ValueError(
                f"{spelt(name)} {value}: is not for --prune-method {method}; e.g. "
                f"--prune-method {OPTIONS[name].example}"
            )
        own[name].check(value, approach)
    if approach is None:
        return None
    given = {field: value for name, value in options.items() if (field := own[name].field)}
    return APPROACHES[type(approach)].completed(
        replace(cast(Any, approach), **given), options, schedule, single_weights
    )


def options_of(approach: ApproachSettings | None) -> tuple[Option, ...]:
    """Options of an approach, by its settings; None has none."""
    return APPROACHES[type(approach)].options if approach else ()


def option_of(approach: ApproachSettings, field: str) -> str:
    """The option that sets a field of an approach's settings, as typed; the field itself where none does."""
    return next((spelt(option.name) for option in options_of(approach) if option.field == field), field)
