"""SRP architectures before and after the cut in CTranslate2, and the whole one in fairseq beside it.

Weights and text are random, so hypotheses are meaningless; their length is fixed, so the work is that of a trained
model. All take turns, sentence batch after sentence batch, in one process with one thread; what counts are the seconds
of the processor, so that other jobs of the machine count little.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import ctranslate2
import torch
from devices import Device
from fairseq.data.data_utils import collate_tokens
from fairseq.dataclass.configs import GenerationConfig
from srp_generation import LENGTH, SIZES, make_corpus, make_models

from fairseq_prune.checkpoint.load import load_model, load_task
from fairseq_prune.deploy.export.exporters import Job, export

FAIRSEQ, BASE, CUT = "base in fairseq", "base", "cut to 20 %"


def in_ctranslate2(checkpoint, out):
    """Export a checkpoint, and return what translates texts with a beam."""
    export("ctranslate2", Job(str(checkpoint), str(out), batches=1))
    runtime = ctranslate2.Translator(str(out), inter_threads=1, intra_threads=1)
    lengths = {"min_decoding_length": LENGTH, "max_decoding_length": LENGTH}

    def run(texts, beam):
        runtime.translate_batch([text.split() for text in texts], beam_size=beam, **lengths)

    return run


def in_fairseq(checkpoint):
    """The same of fairseq's own generator."""
    task, _ = load_task(str(checkpoint))
    model = load_model(str(checkpoint), task).eval()
    words, generators = task.source_dictionary, {}

    @torch.inference_mode()
    def run(texts, beam):
        if beam not in generators:
            options = GenerationConfig(beam=beam, min_len=LENGTH, max_len_a=0, max_len_b=LENGTH)
            generators[beam] = task.build_generator([model], options)
        rows = [words.encode_line(text, add_if_not_exist=False).long() for text in texts]
        tokens = collate_tokens(rows, words.pad(), left_pad=True)
        inputs = {"src_tokens": tokens, "src_lengths": torch.tensor([len(row) for row in rows])}
        task.inference_step(generators[beam], [model], {"net_input": inputs})

    return run


def contenders(folder, arch, sentences, names=(FAIRSEQ, BASE, CUT)):
    """What translates, dict by name, and the texts."""
    make_corpus(folder, SIZES[arch], sentences)
    base, cut = make_models(folder, arch, Device("cpu"))
    made = {
        FAIRSEQ: lambda: in_fairseq(base),
        BASE: lambda: in_ctranslate2(base, folder / "base-ct2"),
        CUT: lambda: in_ctranslate2(cut, folder / "cut-ct2"),
    }
    return {name: made[name]() for name in names}, (folder / "test.de").read_text().splitlines()


def seconds(runs, texts, size, beam):
    """Seconds of the processor for each batch, dict of name -> list; those at one place were taken in turn."""
    batches = [texts[first : first + size] for first in range(0, len(texts), size)]
    for run in runs.values():
        run(batches[0], beam)
    taken = {name: [] for name in runs}
    for batch in batches:
        for name, run in runs.items():
            start = time.process_time()
            run(batch, beam)
            taken[name].append(time.process_time() - start)
    return taken


def ratio(taken, slow, fast):
    """How many times as fast one is as the other: the median over batches."""
    return statistics.median(one / other for one, other in zip(taken[slow], taken[fast], strict=True))


def main():
    """Print speeds and ratios for each architecture, batch size and beam."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=192)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--beam", type=int, nargs="+", default=[5, 1])
    parser.add_argument("--arch", nargs="+", choices=SIZES, default=list(SIZES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| {LENGTH} tokens, 1 thread, sentences/s | batch | beam | {FAIRSEQ} | {BASE} | {CUT} "
          "| engine | cut |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for arch in args.arch:
        with tempfile.TemporaryDirectory() as name:
            runs, texts = contenders(Path(name), arch, args.sentences)
            for size in args.batch_size:
                for beam in args.beam:
                    some = texts[: 12 * size]
                    taken = seconds(runs, some, size, beam)
                    rates = " | ".join(f"{len(some) / sum(times):.1f}" for times in taken.values())
                    gains = f"{ratio(taken, FAIRSEQ, BASE):.2f} | {ratio(taken, BASE, CUT):.2f}"
                    print(f"| {arch} | {size} | {beam} | {rates} | {gains} |", flush=True)


if __name__ == "__main__":
    main()
