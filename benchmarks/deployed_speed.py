"""Models in use against the goals for their speed: each pair in one run, one thread, medians of ratios taken in turn.

With --keep FOLDER what has been measured is kept there, a file a part, and not measured again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import sparse_execution
import srp_in_ctranslate2 as srp
import torch
import vision_deployed as vision

SIZE, BEAM = 64, 5  # sentences a batch, and beam, of translation
REMOVED = 0.96  # of the language model's matrices


def multi30k(args):
    """A trained Transformer, the sentences of its test set."""
    command = f"""bench dense={args.dense} --data {args.data} --runtimes fairseq,ctranslate2 --beam {BEAM}
        --batch-sizes {SIZE} --sentences 640 --threads 1 --json"""
    program = "from fairseq_prune.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, *command.split()], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    _, engine = json.loads(done.stdout)["rows"]
    yield "CTranslate2 against fairseq, Multi30k 4 + 4 x 128", 2.5, engine["measured"]


def demo(args):
    """The demo's size."""
    taken = _generation("srp_tiny", 12 * SIZE, (srp.FAIRSEQ, srp.BASE, srp.CUT))
    yield "CTranslate2 against fairseq, 2 + 2 x 128", 2.5, srp.ratio(taken, srp.FAIRSEQ, srp.BASE)
    yield "SRP at 20 % inside CTranslate2, 2 + 2 x 128", 2.0, srp.ratio(taken, srp.BASE, srp.CUT)


def iwslt(args):
    """The size of IWSLT'14."""
    taken = _generation("srp_iwslt_de_en", 3 * SIZE, (srp.BASE, srp.CUT))
    yield "SRP at 20 % inside CTranslate2, srp_iwslt_de_en", 4.0, srp.ratio(taken, srp.BASE, srp.CUT)


def _generation(arch, sentences, names):
    with tempfile.TemporaryDirectory() as folder:
        runs, texts = srp.contenders(Path(folder), arch, sentences, names)
        return srp.seconds(runs, texts, SIZE, BEAM)


def rnn_lm(args):
    """A language model of 4.65 M parameters, random ones removed."""
    ((_, _, ratio),) = sparse_execution.language_modelling([REMOVED], rounds=9)
    yield f"--prune-execute auto, {REMOVED:.0%} removed, fairseq-eval-lm, batches of 20", 3.0, ratio


def images(args):
    """ResNet-56 with 2.55 times and VGG-19 with 8.89 times fewer multiply-accumulates."""
    for network, goal in (("resnet56", 2.0), ("vgg19", 7.0)):
        nets = vision.two_networks(network)
        for batch in (SIZE, 1):
            times = vision.measure(nets, batch, 10 if batch > 1 else 40)
            for runtime in ("TorchScript", "onnxruntime"):
                yield f"{network} cut, {runtime}, batch {batch}", goal, vision.gain(times, ("cut", runtime))


PARTS = {part.__name__: part for part in (multi30k, demo, iwslt, rnn_lm, images)}


def measured(part, args):
    """[[what, goal, times as fast], ...] of a part, from its file where there is one."""
    if args.keep is None:
        return PARTS[part](args)
    file = args.keep / f"{part}.json"
    if not file.exists():
        args.keep.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".part").write_text(json.dumps(list(PARTS[part](args))))
        file.with_suffix(".part").replace(file)
    return json.loads(file.read_text())


def main():
    """Print a row for each goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dense", help="checkpoint of a trained Transformer; without it, its part is left out")
    parser.add_argument("--data", help="its data")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of results")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    if bool(args.dense) != bool(args.data):
        raise SystemExit("--dense and --data belong together: give both")
    torch.set_num_threads(1)
    print("| 1 thread | goal | measured | |\n|---|---|---|---|")
    for part in args.parts:
        if part != "multi30k" or args.dense:
            for what, goal, ratio in measured(part, args):
                print(f"| {what} | {goal} x | {ratio:.2f} x | {'' if ratio >= goal else 'missed'} |", flush=True)


if __name__ == "__main__":
    main()
