"""torch's two ONNX exporters: one needs another package, the other prints too much."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Axes = Mapping[str, Mapping[int, str]]  # input or output -> axis that may have any length -> its name


def write_onnx(
    model: torch.nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], axes: Axes, path: str
) -> None:
    """Write a model as ONNX.

    This uses torch's older exporter (``dynamo=False``): the newer one needs another package, onnxscript. The older
    one always switches its log on (it tests a function instead of calling it), and so prints the whole graph when
    it fails.

    Args:
        model: in eval mode.
        inputs: dict of name -> example tensor, in the order of the model's arguments.
        outputs: names of the outputs.
        axes: which axes may have any length.
        path: file to write.

    Raises:
        ValueError: ONNX has no operator for something in the model.
    """
    log = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        torch.onnx.export(
            model, tuple(inputs.values()), path, input_names=list(inputs), output_names=list(outputs),
            dynamic_axes={name: dict(lengths) for name, lengths in axes.items()}, dynamo=False,
        )  # fmt: skip
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ValueError(f"torch does not write this net as ONNX: {str(error).splitlines()[0]}") from None
    finally:
        torch._C._jit_onnx_log = log
