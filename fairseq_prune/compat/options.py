"""fairseq options that do not do what their help says."""

import argparse
import importlib.util
import sys

from ..files.messages import one_line
from .patching import patch_once


def install() -> None:
    """Let ``--bf16`` and ``--memory-efficient-bf16`` mean bfloat16 where there is no TPU."""
    import fairseq.options

    patch_once(fairseq.options, "parse_args_and_arch", _without_tpu)


def refuse_references(parser: argparse._ActionsContainer) -> None:
    """fairseq passes strings to hydra, whose syntax gives some another meaning or none; refuse those in one line.

    Args:
        parser: the parser that fairseq is filling, before it parses for good; an argument group never parses.
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

    parser.parse_args = checked  # type: ignore[method-assign]  # for this parser only


def _misread(value):
    if value == "???":
        return value
    if value.endswith("\\"):
        return "\\"
    return next((part for part in ("${", "\\'") if part in value), None)


def _without_tpu(parse_args_and_arch):
    """``--bf16`` implies ``--tpu`` in fairseq 0.12, whose trainer then fails if there is no TPU; CPUs and GPUs
    support bfloat16 as well, and so does the rest of fairseq."""

    def parse(parser, input_args=None, *args, **kwargs):
        found = parse_args_and_arch(parser, input_args, *args, **kwargs)
        options = found[0] if isinstance(found, tuple) else found
        given = sys.argv if input_args is None else input_args
        if getattr(options, "bf16", False) and "--tpu" not in given and importlib.util.find_spec("torch_xla") is None:
            options.tpu = False
        return found

    return parse
