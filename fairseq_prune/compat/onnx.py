"""torch's writers of ONNX: one needs more, the other says too much."""

import torch


def write_onnx(model: torch.nn.Module, images: torch.Tensor, path: str, output: str) -> None:
    """Write an image classifier that takes any batch size.

    By torch's older writer (``dynamo=False``): the newer one needs another package, onnxscript. The older one
    switches its log on (it tests whether it was on by a function that it does not call), so that it prints the
    whole graph where it fails.

    Args:
        model: in eval mode.
        images: float [batch, channels, height, width]; the input's name is ``images``.
        path: of the file.
        output: its name.

    Raises:
        ValueError: ONNX has no operator for something in it.
    """
    axes = {"images": {0: "batch"}, output: {0: "batch"}}
    log = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        torch.onnx.export(
            model, (images,), path, input_names=["images"], output_names=[output], dynamic_axes=axes, dynamo=False
        )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ValueError(f"torch does not write this net as ONNX: {str(error).splitlines()[0]}") from None
    finally:
        torch._C._jit_onnx_log = log
