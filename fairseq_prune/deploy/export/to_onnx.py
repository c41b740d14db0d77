"""`--to onnx`: an image classifier as a file, a Transformer or recurrent language model as a folder of step files."""

import os
from typing import Any

from ...checkpoint.load import load_task
from ...compat import load_checkpoint
from ...files.folder import require_replaceable, whole_folder
from .exporters import EXPORTERS, Job
from .onnx_images import write_images
from .onnx_steps import compare, graphs_of, write_config
from .read import load_cut

_SIGN = "decoder.onnx"


@EXPORTERS.add("onnx")
def to_onnx(job: Job) -> dict[str, Any]:
    """Write a file or a folder.

    Args:
        job: what to export.

    Returns:
        The report.

    Raises:
        ValueError: onnx or onnxruntime is missing, the model cannot be written, or onnxruntime's results differ.
    """
    _require_packages()
    load_checkpoint(job.checkpoint)  # refuses a foreign file in one line
    stamp = job.stamp()
    task, config = load_task(job.checkpoint, job.data)
    model = load_cut(job.checkpoint, task).float().eval()
    split = config.dataset.valid_subset.split(",")[0]
    if not hasattr(model, "decoder"):
        return write_images(job, task, model, split, stamp)
    require_replaceable(job.out, _SIGN)
    graphs = graphs_of(model, getattr(config.model, "activation_fn", None) or "relu")
    with whole_folder(job.out) as folder:
        for name, graph in graphs.items():
            graph.write(os.path.join(folder, f"{name}.onnx"))
        write_config(folder, model, {side: list(getattr(model, side).dictionary.symbols) for side in graphs})
        report = compare(folder, task, model, split, job.batches)
        job.require_unchanged(stamp)
    size = sum(entry.stat().st_size for entry in os.scandir(job.out))
    return {"files": " and ".join(f"{name}.onnx" for name in graphs), **report, "bytes": size}


def _require_packages():
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ValueError(f"--to onnx needs ONNX ({error}): pip install 'fairseq-prune[deploy]'") from None
