"""Make a pruned checkpoint's file small: one bit a weight, and the weights that are left.

OUT is used like CHECKPOINT, with --user-dir: fairseq-generate, all commands here and training can read it.
Weights are restored bit for bit (a zero as +0.0), or rounded with --half. A tensor that would not get smaller is
stored unchanged, and so are integers, masks and ties. The file is read back and compared before it gets its name.

Optimizer state and the position in the training are left out, as by compact: fine-tune from OUT, or give
--keep-optimizer to resume the run from it. `unpack` makes an ordinary checkpoint of OUT.
"""

import argparse

from ..files.json_file import to_json
from ..needs import Need, OptionParser
from ._out import add_out, require_new
from ._quiet import quietly

EXACT = Need(lambda args: not args.half, "--keep-optimizer without --half")


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune pack``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file that fairseq-train saved")
    add_out(parser)
    parser.add_argument("--half", action="store_true", help="round weights with two or more dimensions to fp16")
    parser.add_argument("--keep-optimizer", action="store_true", needs=EXACT, help="keep what resuming needs")


def run(args: argparse.Namespace) -> None:
    """Write OUT and print its size.

    Raises:
        ValueError: CHECKPOINT is unreadable, or OUT exists.
    """
    require_new(args, "checkpoint", "checkpoints/packed.pt")
    from ..deploy.pack import pack_file

    with quietly():
        report = pack_file(args.checkpoint, args.out, args.half, args.keep_optimizer)
    print(to_json(report) if args.json else "\n".join(_lines(report)))


def _lines(report):
    yield f"CHECKPOINT     {report['before']:>14,} bytes"
    yield f"model in fp32  {report['dense_fp32']:>14,} bytes"
    yield f"OUT            {report['after']:>14,} bytes, {report['ratio']:.3f} of the model in fp32"
    yield f"packed         {report['packed']:>14,} of {report['tensors']:,} tensors"
    yield f"largest error  {report['largest_error']:>14.1e}"
