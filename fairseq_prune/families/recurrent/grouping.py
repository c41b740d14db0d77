"""Groupings of a recurrent model's parameters: which tensors get one common rate.

Source: SiPO (Li et al., IEEE TNNLS 2022): connections fall into types by how they meet recurrent
neurons: input-to-hidden, hidden-to-hidden, and those of feed-forward layers, which each model divides
in its own way. Every parameter counts, biases and embeddings included.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from ...pruning.registry import Registry

GROUPINGS: Registry[Callable[[Sequence[str]], dict[str, str]]] = Registry("grouping")

_IH, _HH = r"(weight|bias)_ih", r"(weight|bias)_hh"
_SOURCE, _TARGET, _OUTPUT = r"^encoder\.embed", r"^decoder\.embed", r"^decoder\.(output_projection|fc_out)\."
_ATTENTION, _BRIDGE = r"^decoder\.attention\.", r"^decoder\.(encoder_(hidden|cell)_proj|additional_fc)\."
_ENCODER_LAYER, _DECODER_LAYER = r"^encoder\..*_l(?P<k>\d+)", r"^decoder\.(layers\.|lstm\..*_l)(?P<k>\d+)"

STAGES = {  # family of models -> group -> pattern, in the order in which SiPO lists them
    "lm": {"embedding": _TARGET, "ih": _IH, "hh": _HH, "decoder": _OUTPUT, "bridge": _BRIDGE},
    "rnnsearch": {
        "encoder_embedding": _SOURCE, "decoder_embedding": _TARGET, "ih": _IH, "hh": _HH, "attn": _ATTENTION,
        "pred": _OUTPUT, "bridge": _BRIDGE,
    },
    "luongnet": {
        "embedding": f"{_SOURCE}|{_TARGET}|{_OUTPUT}", "ih": _IH, "hh": _HH, "attn": _ATTENTION, "bridge": _BRIDGE,
    },
}  # fmt: skip
_RNNSEARCH_LAYERS = {
    "encoder_embedding": _SOURCE, "decoder_embedding": _TARGET, "encoder_rnn{k}": _ENCODER_LAYER,
    "decoder_rnn{k}": _DECODER_LAYER, "attn": _ATTENTION, "pred": _OUTPUT, "bridge": _BRIDGE,
}  # fmt: skip
LAYERS = {
    "lm": {"embedding": _TARGET, "rnn{k}": _DECODER_LAYER, "decoder": _OUTPUT, "bridge": _BRIDGE},
    "rnnsearch": _RNNSEARCH_LAYERS,
    "luongnet": _RNNSEARCH_LAYERS,
}


def family_of(names: Iterable[str]) -> str:
    """Which of SiPO's models a list of parameter names belongs to.

    Returns:
        ``"lm"`` without an encoder, ``"rnnsearch"`` with gated units and a bidirectional encoder,
        ``"luongnet"`` for every other recurrent encoder-decoder.
    """
    if not any(name.startswith("encoder.") for name in names):
        return "lm"
    return "rnnsearch" if any(name.startswith("encoder.rnn.") and "_reverse" in name for name in names) else "luongnet"


@GROUPINGS.add("all", "simple")
def _all(names):
    """All parameters in one group."""
    return {"all": ""}


@GROUPINGS.add("layer")
def _layer(names):
    """The layers of the network."""
    return LAYERS[family_of(names)]


@GROUPINGS.add("stage", "time")
def _stage(names):
    """SiPO's stages, which differ between models."""
    return STAGES[family_of(names)]


@GROUPINGS.add("stage3")
def _stage3(names):
    """The three types of connections of SiPO's abstract, for any recurrent model."""
    return {"ih": _IH, "hh": _HH, "ff": ""}


@GROUPINGS.add("stage6")
def _stage6(names):
    """RNNSearch's division, for any recurrent encoder-decoder."""
    return {
        "src_emb": _SOURCE, "tgt_emb": _TARGET, "ih": _IH, "hh": _HH, "attn": f"{_ATTENTION}|{_BRIDGE}",
        "pred": _OUTPUT,
    }  # fmt: skip


@GROUPINGS.add("stage+layer")
def _stage_layer(names):
    """Stages, with input-to-hidden and hidden-to-hidden tensors of each layer apart."""
    stages = dict(STAGES[family_of(names)])
    del stages["ih"], stages["hh"]
    recurrent = {
        f"{side}_{kind}{{k}}": rf"(?={layer}).*{tensors}"
        for side, layer in (("encoder", _ENCODER_LAYER), ("decoder", _DECODER_LAYER))
        for kind, tensors in (("ih", _IH), ("hh", _HH))
    }
    return recurrent | stages


def group_parameters(grouping: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Divide parameters by a named grouping.

    Args:
        grouping: name in :data:`GROUPINGS`.
        names: all trainable parameters' names, tied ones once.

    Returns:
        dict of group name -> list of parameter names, in the order of the grouping; every name once. A
        pattern of a grouping takes what patterns before it left.

    Raises:
        ValueError: unknown grouping, or a parameter that it does not know.
    """
    patterns = GROUPINGS[grouping](names)
    groups: dict[str, list[str]] = {}
    for template, pattern in patterns.items():
        for name in names:
            found = re.search(pattern, name)
            if found and not any(name in members for group, members in groups.items()):
                groups.setdefault(template.format(**found.groupdict()), []).append(name)
    _check_complete(grouping, groups, names)
    return groups


def _check_complete(grouping, groups, names):
    left = [name for name in names if not any(name in members for members in groups.values())]
    if left:
        raise ValueError(
            f"--group {grouping}: {left[0]} is in no group; give groups by patterns, "
            "e.g. --group 'ih=*weight_ih*,*bias_ih*;hh=*_hh*;rest=*embed*,*output*'"
        )
