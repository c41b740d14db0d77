"""Connectivity vectors: one multiplier for every unit that surgery can cut out."""

from dataclasses import dataclass

_KINDS = {"embedding_c": "residual", "qk_c": "qk", "vo_c": "vo", "fc_c": "ffn"}  # by the ending of the name


@dataclass(frozen=True)
class Vector:
    """What the budget and the selection need to know of a connectivity vector.

    Args:
        name: its key in the checkpoint, e.g. ``"encoder.layers.0.self_attn_qk_c"``.
        kind: ``"residual"``, ``"qk"``, ``"vo"`` or ``"ffn"``; see :func:`kind_of`.
        length: original length (count of units).
        heads: attention heads that share it, head-major: unit ``head * (length / heads) + j``.
    """

    name: str
    kind: str
    length: int
    heads: int = 1


def kind_of(name):
    """Tell the kind of a connectivity vector from the ending of its name.

    Raises:
        ValueError: no such ending.

    Example:
        >>> kind_of("decoder.layers.1.encoder_attn_vo_c")
        'vo'
    """
    for ending, kind in _KINDS.items():
        if name.endswith(ending):
            return kind
    raise ValueError(f"{name} is no connectivity vector; these end in {', '.join(_KINDS)}")
