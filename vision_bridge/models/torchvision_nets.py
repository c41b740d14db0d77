"""Torchvision's classification models, by name, with weights from a file or its own."""

import pickle
import re

import torch
from torch.func import functional_call

from fairseq_prune.pruning.registry import nearest

from .nets import refuse_flags

TRANSFORMED = {"init_weights": True, "transform_input": True}  # they take pixels normalised as for the others
DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")  # how files of old name DenseNet's entries
EXAMPLE = "give e.g. a file of torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), FILE)"


def build_torchvision(name, weights, spec):
    """Build one of torchvision's models.

    Args:
        name: torchvision's, e.g. ``resnet50``.
        weights: file of a state dict; ``default`` for the one that torchvision downloads; None: random.
        spec: :class:`~vision_bridge.models.nets.NetSpec`.

    Returns:
        ``nn.Module``; images float [batch, 3, size, size] to logits [batch, classes]. Inception-v3 and
        GoogLeNet in training: to a named tuple of these and of auxiliary ones.

    Raises:
        ValueError: torchvision has no such model, it does not take such images, or the weights do not
            fit, naming the option, the value and a valid example.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        hint = nearest(name, known) or "; give e.g. resnet18"
        raise ValueError(f"--torchvision-model {name}: torchvision has no such model{hint}")
    refuse_flags(spec, "torchvision")
    if spec.channels != 3:
        raise ValueError(
            f"--torchvision-model {name}: takes images of 3 channels, these have {spec.channels}; "
            "give e.g. --arch resnet20"
        )
    net = _sized(name, spec)
    if weights is not None:
        _load(net, _read(name, weights), weights, name, spec.classes)
    return net


def _sized(name, spec):
    """Build with random weights, for these images; try that they pass, without memory or time for numbers."""
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

    try:
        if weights == "default":
            state = models.get_model_weights(name).DEFAULT.get_state_dict(check_hash=True)
        else:
            state = torch.load(weights, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--torchvision-weights {weights}: cannot be read, {reason}; {EXAMPLE}") from None
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise ValueError(f"--torchvision-weights {weights}: holds no state dict; {EXAMPLE}")
    for entry in list(state):
        state[DENSE_LAYER.sub(r"\1\2", entry)] = state.pop(entry)
    return state


def _load(net, state, weights, name, classes):
    """Load strictly."""
    shapes = {entry: (state[entry].shape, tensor.shape) for entry, tensor in net.state_dict().items() if entry in state}
    rows = {(there[:1], here[:1]) for there, here in shapes.values() if there != here}
    if len(rows) == 1 and (classes,) in (here for _, here in rows):  # nothing but the classifier differs
        there = "x".join(map(str, rows.pop()[0]))
        raise ValueError(
            f"--torchvision-weights {weights}: is for {there} classes, the images have {classes}; {EXAMPLE}"
        )
    try:
        net.load_state_dict(state)
    except RuntimeError:
        raise ValueError(
            f"--torchvision-weights {weights}: does not fit --torchvision-model {name}; {EXAMPLE}"
        ) from None
