"""Runtimes of torch: plain fairseq, cut models, CSR products without removed weights, and compiled classifiers."""

import os

import torch
from fairseq import utils
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ...checkpoint.load import load_model
from ...modules.csr.choice import MOST_LEFT
from ...modules.csr.execute import Execution
from ..compact_checkpoint import compact_checkpoint
from .runtime import RUNTIMES, Run, Subject
from .work import WORKS


class Fairseq:
    """The checkpoint in fairseq, on dense kernels."""

    def why_not(self, subject: Subject, beam: int) -> str | None:
        """It runs every checkpoint."""
        return None

    def prepare(self, subject: Subject, folder: str) -> str:
        """The checkpoint itself; nothing has to be written."""
        return subject.path

    def load(self, path: str, subject: Subject, task: FairseqTask) -> Run:
        """Model and batches are on the device."""
        model = load_model(path, task).to(subject.device).eval()
        return self.running(model, subject, task)

    def running(self, model: BaseFairseqModel, subject: Subject, task: FairseqTask) -> Run:
        """A function that runs batches through the loaded model."""
        run = WORKS[subject.kind].by_fairseq(model, task)
        return lambda sample, beam: run(utils.apply_to_sample(lambda tensor: tensor.to(subject.device), sample), beam)

    def leaves_out(self) -> bool:
        """Zeros are multiplied."""
        return False


class Compact(Fairseq):
    """The checkpoint as ``fairseq-prune compact`` cuts it, in fairseq."""

    def prepare(self, subject: Subject, folder: str) -> str:
        """The cut checkpoint."""
        out = os.path.join(folder, "compact.pt")
        compact_checkpoint(subject.path, out, subject.data)
        return out


class Csr(Fairseq):
    """fairseq with ``--prune-execute auto``."""

    def why_not(self, subject: Subject, beam: int) -> str | None:
        """It is for CPUs, and for layers that have lost most of their weights."""
        if subject.device != "cpu":
            return "CSR products are for CPUs"
        if subject.kind == "image classifier":
            return "convolutions have no CSR form"
        if subject.removed < 1 - MOST_LEFT:
            return f"{subject.removed:.0%} of the weights are removed; below {1 - MOST_LEFT:.0%} CSR is never faster"
        return None

    def running(self, model: BaseFairseqModel, subject: Subject, task: FairseqTask) -> Run:
        """Each layer is dense or in CSR form, whichever is faster."""
        Execution(model, "auto")
        return super().running(model, subject, task)

    def leaves_out(self) -> bool:
        """It skips products with removed weights."""
        return True


class Compiled(Fairseq):
    """Frozen TorchScript: batch norms folded into convolutions, channels last."""

    def why_not(self, subject: Subject, beam: int) -> str | None:
        """It is for image classifiers."""
        return None if subject.kind == "image classifier" else "for image classifiers: others have no batch norms"

    def running(self, model: BaseFairseqModel, subject: Subject, task: FairseqTask) -> Run:
        """The model is traced on the first batch."""
        nets: list[torch.nn.Module] = []

        def run(sample, beam):
            (images,) = sample["net_input"].values()
            images = images.to(subject.device).contiguous(memory_format=torch.channels_last)
            if not nets:
                traced = torch.jit.trace(model.to(memory_format=torch.channels_last), images, check_trace=False)
                nets.append(torch.jit.freeze(traced.eval()))
            return nets[0](images).argmax(1).tolist()

        return run


RUNTIMES.add("fairseq")(Fairseq())
RUNTIMES.add("compact")(Compact())
RUNTIMES.add("csr")(Csr())
RUNTIMES.add("torchscript")(Compiled())
