"""Compare runtimes on your own checkpoints and data: speed, latency, memory, size, quality.

Each CHECKPOINT is run by fairseq as it is, cut by compact, and with sparse matrices (csr); by CTranslate2 in
float32 and int8; by onnxruntime; and, for images, by TorchScript with folded norms. They run one after the other, each
in a fresh process, after a warm-up. All rows are compared with the first, batch by batch, so name the dense model
first. CHECKPOINT is a path, or NAME=PATH:

  fairseq-prune bench dense.pt pruned.pt --data data-bin/mine --beam 5,1

Notes below the table say which runtimes cannot run a checkpoint, or gain nothing from its zeros. onnxruntime translates
greedily only (--beam 1).
"""

import argparse
import sys

from ..files.json_file import to_json
from ..needs import OptionParser
from ._quiet import quietly


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune bench``."""
    parser.add_argument("checkpoints", metavar="CHECKPOINT", nargs="+", help="files that fairseq-train saved")
    parser.add_argument("--data", metavar="DATA", help="data to run on; default: the training's")
    parser.add_argument("--split", help="of the data (default: test, else valid)")
    parser.add_argument(
        "--runtimes",
        metavar="NAMES",
        help="some of fairseq,compact,csr,torchscript,ctranslate2,ctranslate2-int8,onnx (default: all)",
    )
    parser.add_argument("--batch-sizes", default="1,32", metavar="N,N", help="default: %(default)s")
    parser.add_argument(
        "--sentences", type=int, default=128, metavar="N", help="sentences, rows of text or images (default: 128)"
    )
    parser.add_argument("--beam", metavar="N,N", help="of translations (default: 5)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: those of torch)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--png", metavar="FILE", help="draw speed against quality")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> None:
    """Measure, print, draw; progress goes to standard error.

    Raises:
        ValueError: an option out of its range, or a checkpoint or data that cannot be read.
    """
    from ..drivers.bench.compare import BenchSettings, bench
    from ..report.bench import draw_bench, render_bench
    from ..report.png import check_png

    if args.png:
        check_png("--png", args.png)
    settings = BenchSettings(
        args.checkpoints, _names(args.runtimes), _counts("batch-sizes", args.batch_sizes), args.sentences, args.data,
        args.split, args.device, _counts("beam", args.beam), args.threads,
    )  # fmt: skip
    with quietly():
        report = bench(settings, lambda line: print(line, file=sys.stderr, flush=True))
        if args.png and report["rows"]:
            draw_bench(report, args.png)
    print(to_json(report) if args.json else render_bench(report))


def _names(text):
    return [name.strip() for name in text.split(",")] if text else []


def _counts(option, text):
    if text and not all(count.strip().isdecimal() for count in text.split(",")):
        raise ValueError(f"--{option} {text}: give whole numbers, e.g. --{option} 1,32")
    return [int(count) for count in text.split(",")] if text else []
