#!/usr/bin/env python3
"""Translates a text with a model of CTranslate2 and keeps the output as fairseq-generate does, for scripts/compare.py.

FOLDER is what `fairseq-prune export --to ctranslate2` wrote, BPE codes included. As in scripts/evaluate.sh the beam is
4 wide and a batch has up to 8,000 tokens; sentences/s count neither start-up nor BPE.
"""

import argparse
import os
import time
from pathlib import Path


def translate(folder, sentences):
    """Translates sentences in one call.

    Args:
        folder: of the model.
        sentences: list of str, tokenised as the training's.

    Returns:
        (translations without BPE, list of str; their scores, list of float; seconds).
    """
    import ctranslate2
    from subword_nmt.apply_bpe import BPE

    with open(folder / "bpe.codes", encoding="utf-8") as codes:
        bpe = BPE(codes)
    tokens = [bpe.process_line(sentence).split() for sentence in sentences]
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
    translator = ctranslate2.Translator(str(folder), intra_threads=threads)
    began = time.perf_counter()
    found = translator.translate_batch(
        tokens, beam_size=4, max_decoding_length=200, max_batch_size=8000, batch_type="tokens", return_scores=True
    )
    seconds = time.perf_counter() - began
    return [_text(result.hypotheses[0]) for result in found], [result.scores[0] for result in found], seconds


def _lines_of(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def _text(words):
    return (" ".join(words) + " ").replace("@@ ", "").strip()


def log_lines(folder, sentences, references):
    """The output of fairseq-generate that scripts/compare.py reads, and the size of the model."""
    translations, scores, seconds = translate(folder, sentences)
    for i, (translation, score, reference) in enumerate(zip(translations, scores, references, strict=True)):
        yield f"T-{i}\t{reference}\nD-{i}\t{score:.4f}\t{translation}"
    size = (folder / "model.bin").stat().st_size
    yield f"Model of {size} bytes"
    yield f"Translated {len(sentences)} sentences in {seconds:.1f}s ({len(sentences) / seconds:.2f} sentences/s)"


def main():
    """Reads the command line and writes LOG; a bad argument ends it in one line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    texts = {"folder": "the model", "source": "a text", "reference": "its translation", "log": "the file to write"}
    for name, text in texts.items():
        parser.add_argument(name, metavar=name.upper(), type=Path, help=text)
    args = parser.parse_args()
    try:
        lines = list(log_lines(args.folder, *map(_lines_of, (args.source, args.reference))))
        part = args.log.with_name(args.log.name + ".part")
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        part.replace(args.log)
        print(lines[-1])
    except (OSError, ValueError, RuntimeError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from error


if __name__ == "__main__":
    main()
