"""An image classifier as an ONNX file, for any batch size."""

import os
from typing import Any

import torch
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ...compat.onnx import write_onnx
from ...files.atomic import atomic_file
from ..verify import samples_of
from .exporters import Job, Stamp
from .onnx_steps import open_session

LIMIT = 1e-4  # largest difference, as a fraction of the largest output; both compute in float32
OUTPUT = "scores"


def write_images(job: Job, task: FairseqTask, model: BaseFairseqModel, split: str, stamp: Stamp) -> dict[str, Any]:
    """Write an image classifier as one file.

    Args:
        job: what to export.
        task: task of the model.
        model: in eval mode, float32.
        split: split of the data to compare on.
        stamp: identity of the checkpoint when it was read.

    Returns:
        The report.

    Raises:
        ValueError: the model is not an image classifier or cannot be traced, or onnxruntime's results differ.
    """
    samples = samples_of(task, split, model, job.batches)
    batches = [batch for sample in samples for batch in _images(sample, model)]
    axes = {"images": {0: "batch"}, OUTPUT: {0: "batch"}}
    with atomic_file(job.out) as file:
        write_onnx(model, {"images": batches[0]}, [OUTPUT], axes, file.name)
        report = _compare(model, batches, file.name)
        job.require_unchanged(stamp)
    return {**report, "bytes": os.path.getsize(job.out)}


@torch.no_grad()
def _images(sample, model):
    """The images of a sample, and the first of them alone, as another batch size."""
    inputs = list(sample["net_input"].values())
    if len(inputs) != 1 or not inputs[0].is_floating_point() or not torch.is_tensor(model(inputs[0])):
        raise ValueError(
            f"{type(model).__name__} is not an image classifier, a Transformer or a recurrent language model"
        )
    return inputs[0].float(), inputs[0][:1].float()


@torch.no_grad()
def _compare(model, batches, path):
    session = open_session(path, torch.get_num_threads())
    own = torch.cat([model(images) for images in batches])
    found = torch.cat([torch.from_numpy(session.run([OUTPUT], {"images": i.numpy()})[0]) for i in batches])
    difference = float((own - found).abs().max() / own.abs().max())
    if not difference <= LIMIT:  # also if NaN
        raise ValueError(
            f"the outputs of onnxruntime differ by {difference:.2e} of the largest one, more than {LIMIT:.0e}; "
            "nothing is written"
        )
    same = int((own.argmax(1) == found.argmax(1)).sum())
    return {"images": len(own), "same_class": same, "largest_difference": difference}
