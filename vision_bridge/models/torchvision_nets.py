"""torchvision's classification models by name, with weights from a file or from torchvision."""

import re

import torch
from torch import nn
from torch.func import functional_call

from fairseq_prune.pruning.registry import closest

from .nets import NetSpec, refuse_flags
from .weights import load_weights, read_weights

TRANSFORMED = {"init_weights": True, "transform_input": True}  # their input is then normalised as for the other models
DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")  # names of DenseNet's entries in old files
OPTION = "--torchvision-weights"
EXAMPLE = "give e.g. a file of torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), FILE)"


def build_torchvision(name: str, weights: str | None, spec: NetSpec) -> nn.Module:
    """Build one of torchvision's models.

    Args:
        name: torchvision's name, e.g. ``resnet50``.
        weights: file with a state dict, or the name of weights that torchvision downloads, e.g.
            ``IMAGENET1K_V1`` or ``default`` for its best ones; None: random weights.
        spec: :class:`~vision_bridge.models.nets.NetSpec`.

    Returns:
        ``nn.Module``: images, float [batch, 3, size, size], to logits [batch, classes]. In training,
        Inception-v3 and GoogLeNet return a named tuple of these and of auxiliary logits.

    Raises:
        ValueError: torchvision has no such model, it does not take such images, or the weights do not
            fit; the message names the option, the value and a valid example.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        hint = closest(name, known) or "; give e.g. resnet18"
        raise ValueError(f"--torchvision-model {name}: torchvision has no such model{hint}")
    refuse_flags(spec, "torchvision")
    if spec.channels != 3:
        raise ValueError(
            f"--torchvision-model {name}: takes images of 3 channels, these have {spec.channels}; "
            "give e.g. --arch resnet20"
        )
    net = _sized(name, spec)
    if weights is not None:
        state, what = _read(name, weights), f"--torchvision-model {name}"
        load_weights(net, state, OPTION, weights, what, spec.classes, EXAMPLE)
    return net


def _sized(name, spec):
    """Build with random weights, for these images, and check on the meta device that it takes them."""
    from torchvision import models

    family, size = name.partition("_")[0], spec.size
    options = {"vit": {"image_size": size}, "maxvit": {"input_size": (size, size)}}.get(family, {})
    options |= TRANSFORMED if family in ("inception", "googlenet") else {}
    try:
        net = models.get_model(name, weights=None, num_classes=spec.classes, **options)
        state = {entry: tensor.to("meta") for entry, tensor in net.state_dict(keep_vars=True).items()}
        functional_call(net, state, torch.zeros(2, 3, size, size, device="meta"))
    except (RuntimeError, ValueError, AssertionError):
        fits = 299 if family == "inception" else 224
        raise ValueError(
            f"--torchvision-model {name}: does not take images of {size} x {size} px; give e.g. --image-size {fits}"
        ) from None
    return net


def _read(name, weights):
    from torchvision import models

    theirs = models.get_model_weights(name).__members__
    if (member := weights.upper()) in theirs:
        try:
            state = theirs[member].get_state_dict(check_hash=True)
        except (OSError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{OPTION} {weights}: cannot be read, {reason}; {EXAMPLE}") from None
    else:
        state = read_weights(OPTION, weights, EXAMPLE)
    return {DENSE_LAYER.sub(r"\1\2", entry): tensor for entry, tensor in state.items()}
