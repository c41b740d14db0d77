"""Write a model that another program runs, and check that it computes the same.

--to ctranslate2: OUT is a folder with model, vocabularies and, if there are some, BPE codes, for
CTranslate2 on CPUs and GPUs. Any Transformer can be exported: stock, masked, cut, SRP, or a language model.
fairseq and CTranslate2 both translate sentences of the validation split, beam 5; OUT appears only
if they agree. With --quantization, this holds for float32, and the report says how many translations
of the quantised model are the same, with the BLEU of both.

--to fairseq: OUT is a checkpoint that fairseq loads without --user-dir, where its own architectures
have the shapes.

--to onnx: for onnxruntime and others. For an image classifier OUT is a file, for any batch size. For a
Transformer or a recurrent language model it is a folder: an encoder, if there is one, and a step of the
decoder, with keys and values or the state as inputs and outputs, for any batch and length.
"""

import argparse

from ..files.json_file import to_json
from ..needs import Need, OptionParser
from ._quiet import quietly
from ._user_dir import add_user_dir

CTRANSLATE2 = Need(lambda args: args.to == "ctranslate2", "--to ctranslate2")


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune export``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file that fairseq-train saved")
    parser.add_argument("out", metavar="OUT", help="the folder or file to write")
    parser.add_argument(
        "--to", required=True, metavar="TARGET", help="ctranslate2, fairseq, onnx, or one of --user-dir"
    )
    parser.add_argument(
        "--quantization", metavar="TYPE", needs=CTRANSLATE2, help="int8, int8_float16, float16 or bfloat16"
    )
    parser.add_argument("--data", metavar="DATA", help="data to compare on; default: the training's")
    parser.add_argument(
        "--bpe-codes", metavar="FILE", needs=CTRANSLATE2, help="default: bpe.codes of the data, if it is there"
    )
    parser.add_argument(
        "--batches",
        type=int,
        default=25,
        metavar="N",
        help="batches of 4 sentences or images to compare (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_user_dir(parser)


def run(args: argparse.Namespace) -> None:
    """Write OUT and print how it was compared.

    Raises:
        ValueError: CHECKPOINT is unreadable, OUT exists, the target cannot express the model or an option,
            or what was written computes something else.
    """
    with quietly():
        report = _export(args)
    print(to_json(report) if args.json else "\n".join(_lines(report)))


def _export(args):
    from ..deploy.export.exporters import Job, export

    job = Job(args.checkpoint, args.out, args.data, args.batches, args.overwrite, args.quantization, args.bpe_codes)
    return {"out": args.out, "to": args.to, **export(args.to, job)}


def _lines(report):
    for key, value in report.items():
        yield f"{key.replace('_', ' '):<20}{_text(value)}"


def _text(value):
    if isinstance(value, list):
        return " fairseq, ".join(map(_text, value)) + " exported"
    if isinstance(value, float):
        return f"{value:.2f}" if value >= 0.01 else f"{value:.1e}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
