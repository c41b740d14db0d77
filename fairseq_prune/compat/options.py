"""fairseq's options that do not mean what they say."""

import argparse


class _Refused(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        parser.exit(2, f"{option_string}: means TPU in this fairseq; use --fp16 or --amp, e.g. --amp\n")


def refuse_bf16(parser):
    """``--bf16`` implies ``--tpu`` in fairseq 0.12 and dies in a missing import; say so instead.

    Args:
        parser: the parser fairseq is filling, before it parses for good.
    """
    for option in ("--bf16", "--memory-efficient-bf16"):
        if option in parser._option_string_actions:
            parser._option_string_actions[option] = _Refused([option], "bf16", nargs=0)
