"""fairseq options that do not do what they say."""

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


def _without_tpu(parse_args_and_arch):
    """``--bf16`` implies ``--tpu`` in fairseq 0.12, whose trainer then dies where there is none; CPUs and GPUs know
    bfloat16 as well, and the rest of fairseq is ready for it."""

    def parse(parser, input_args=None, *args, **kwargs):
        found = parse_args_and_arch(parser, input_args, *args, **kwargs)
        options = found[0] if isinstance(found, tuple) else found
        given = sys.argv if input_args is None else input_args
        if getattr(options, "bf16", False) and "--tpu" not in given and importlib.util.find_spec("torch_xla") is None:
            options.tpu = False
        return found

    return parse
