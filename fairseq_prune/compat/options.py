"""fairseq's options that do not mean what they say."""

import argparse

from ..files.messages import one_line


class _Refused(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        parser.exit(2, f"{option_string}: means TPU in this fairseq; use --fp16 or --amp, e.g. --amp\n")


def refuse_references(parser: argparse._ActionsContainer) -> None:
    """fairseq writes strings into hydra's language, where some mean something else, or nothing; say so instead.

    Args:
        parser: the parser fairseq is filling, before it parses for good; or a group of one that never parses.
    """
    if not isinstance(parser, argparse.ArgumentParser):
        return
    parse = parser.parse_args

    def checked(*args, **kwargs):
        found = parse(*args, **kwargs)
        for name, value in vars(found).items():
            if isinstance(value, str) and (part := _misread(value)):
                option = f"--{name.replace('_', '-')}"
                raise SystemExit(one_line(f"{option} {value}: fairseq does not read {part} as it stands; leave it out"))
        return found

    parser.parse_args = checked  # type: ignore[method-assign]  # of this one parser


def _misread(value):
    if value == "???":
        return value
    if value.endswith("\\"):
        return "\\"
    return next((part for part in ("${", "\\'") if part in value), None)


def refuse_bf16(parser: argparse._ActionsContainer) -> None:
    """``--bf16`` implies ``--tpu`` in fairseq 0.12 and dies in a missing import; say so instead.

    Args:
        parser: the parser fairseq is filling, before it parses for good.
    """
    for option in ("--bf16", "--memory-efficient-bf16"):
        if option in parser._option_string_actions:
            parser._option_string_actions[option] = _Refused([option], "bf16", nargs=0)
