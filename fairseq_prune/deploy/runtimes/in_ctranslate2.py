"""CTranslate2, in float32 and in int8."""

import os
from collections.abc import Callable

import numpy as np
import torch
from fairseq.tasks import FairseqTask

from ..export.exporters import Job, export
from ..export.translations import LONGEST
from ..export.vocabulary import Speller, joined
from .runtime import RUNTIMES, Run, Subject
from .work import row_scores


class CTranslate2:
    """The checkpoint as ``fairseq-prune export --to ctranslate2`` writes it.

    Args:
        quantization: e.g. "int8"; None: float32.
    """

    def __init__(self, quantization: str | None = None):
        self.quantization = quantization

    def why_not(self, subject: Subject, beam: int) -> str | None:
        """CTranslate2 runs Transformers only; whether it supports their layers turns out during the export."""
        return None if subject.kind in _LOADERS else "CTranslate2 runs no image classifiers"

    def prepare(self, subject: Subject, folder: str) -> str:
        """The exported folder."""
        out = os.path.join(folder, "ctranslate2")
        export("ctranslate2", Job(subject.path, out, subject.data, 4, quantization=self.quantization))
        return out

    def load(self, path: str, subject: Subject, task: FairseqTask) -> Run:
        """On the device, with torch's number of threads."""
        return _LOADERS[subject.kind](path, subject, task)

    def leaves_out(self) -> bool:
        """CTranslate2 has no sparse kernels."""
        return False


def _translator(path, subject, task) -> Run:
    import ctranslate2

    runtime = ctranslate2.Translator(path, device=subject.device, intra_threads=torch.get_num_threads())
    words = Speller(task.source_dictionary)

    def run(sample, beam):
        sentences = list(map(words, sample["net_input"]["src_tokens"]))
        found = runtime.translate_batch(sentences, beam_size=beam, max_decoding_length=LONGEST)
        return [joined(result.hypotheses[0]) for result in found]

    return run


def _generator(path, subject, task) -> Run:
    import ctranslate2

    runtime = ctranslate2.Generator(path, device=subject.device, intra_threads=torch.get_num_threads())
    pad = task.source_dictionary.pad()

    def run(sample, beam):
        tokens = sample["net_input"]["src_tokens"]
        scores = runtime.forward_batch([row[row != pad].tolist() for row in tokens], return_log_probs=True)
        found = torch.from_numpy(np.array(scores.to_device(ctranslate2.Device.cpu)))
        return row_scores(found, sample["target"][:, : found.shape[1]], pad)

    return run


_LOADERS: dict[str, Callable[[str, Subject, FairseqTask], Run]] = {
    "translation": _translator,
    "language model": _generator,
}
RUNTIMES.add("ctranslate2")(CTranslate2())
RUNTIMES.add("ctranslate2-int8")(CTranslate2("int8"))
