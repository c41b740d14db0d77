"""onnxruntime."""

import os
from collections.abc import Callable

import torch
from fairseq.tasks import FairseqTask

from ..export.exporters import Job, export
from ..export.onnx_steps import Steps, open_session
from ..export.translations import LONGEST
from .runtime import RUNTIMES, Run, Subject
from .work import BPE, row_scores


class Onnx:
    """The checkpoint as ``fairseq-prune export --to onnx`` writes it."""

    def why_not(self, subject: Subject, beam: int) -> str | None:
        """It runs on CPUs, and translates by greedy search."""
        if subject.device != "cpu":
            return "onnxruntime is run on CPUs here"
        if subject.kind == "translation" and beam != 1:
            return "around its steps there is only a greedy search here; compare with --beam 1"
        return None

    def prepare(self, subject: Subject, folder: str) -> str:
        """The exported file or folder."""
        out = os.path.join(folder, "exported.onnx")
        export("onnx", Job(subject.path, out, subject.data, 4))
        return out

    def load(self, path: str, subject: Subject, task: FairseqTask) -> Run:
        """With torch's number of threads."""
        return _LOADERS[subject.kind](path, task)

    def leaves_out(self) -> bool:
        """Zeros are multiplied."""
        return False


def _greedy(path, task) -> Run:
    steps, target = Steps(path, torch.get_num_threads()), task.target_dictionary

    def run(sample, beam):
        sources = sample["net_input"]["src_tokens"]
        feed, new = steps.begin(sources, len(sources)), torch.full((len(sources), 1), target.eos())
        found: list[torch.Tensor] = []
        ended = torch.zeros(len(sources), dtype=torch.bool)
        while len(found) < LONGEST and not ended.all():
            scores = steps.step(new, feed)[:, -1]
            scores[:, target.pad()] = -torch.inf
            new = scores.argmax(1, keepdim=True).masked_fill(ended[:, None], target.eos())
            ended |= new[:, 0] == target.eos()
            found.append(new)
        return [target.string(row[row != target.eos()], BPE) for row in torch.cat(found, 1)]

    return run


def _scores(path, task) -> Run:
    steps, pad = Steps(path, torch.get_num_threads()), task.source_dictionary.pad()

    def run(sample, beam):
        tokens = sample["net_input"]["src_tokens"]
        return row_scores(steps.step(tokens, steps.begin(None, len(tokens))), sample["target"], pad)

    return run


def _classes(path, task) -> Run:
    session = open_session(path, torch.get_num_threads())

    def run(sample, beam):
        (images,) = sample["net_input"].values()
        return session.run(None, {"images": images.float().numpy()})[0].argmax(1).tolist()

    return run


_LOADERS: dict[str, Callable[[str, FairseqTask], Run]] = {
    "translation": _greedy,
    "language model": _scores,
    "image classifier": _classes,
}
RUNTIMES.add("onnx")(Onnx())
