"""The removal table of fairseq's Transformers.

Vectors bear the names of SRP's connectivity vectors, whether or not a model has them:
``embedding_c`` the residual width of a side, ``*_attn_qk_c`` the query/key and ``*_attn_vo_c`` the
value dimensions of an attention block (head-major), ``fc_c`` the neurons of a feed-forward block. The
heads of an attention block have its name; of a block that was cut, ``heads`` are those that stay.
Weights of linear layers are [out, in].
"""

from collections.abc import Iterable, Mapping

from ...pruning.surgery.structure import Coupled
from ...pruning.surgery.table import Owns, Shapes, Table, build_table, entries_of

_LAYER = r"(.+layers\.\d+)"

FEED_FORWARD = (
    Owns(r"\1.fc_c", _LAYER + r"\.fc1\.(weight|bias)", 0),
    Owns(r"\1.fc_c", _LAYER + r"\.fc2\.weight", 1),
    Owns(r"\1.fc_c", _LAYER + r"\.fc_c", 0),
)
ATTENTION = (
    Owns(r"\1_qk_c", r"(.+_attn)\.[qk]_proj\.(weight|bias)", 0),
    Owns(r"\1_vo_c", r"(.+_attn)\.v_proj\.(weight|bias)", 0),
    Owns(r"\1_vo_c", r"(.+_attn)\.out_proj\.weight", 1),
    Owns(r"\g<0>", r".+_attn_(qk|vo)_c", 0),
    Owns(r"\1", r"(.+_attn)\.heads", 0),
)
_ENCODER_WIDTH = (
    Owns("encoder.embedding_c", r"encoder\.embed_tokens\.weight", 1),
    Owns("encoder.embedding_c", r"encoder\.layers\.\d+\.(self_attn\.[qkv]_proj|fc1)\.weight", 1),
    Owns("encoder.embedding_c", r"encoder\.layers\.\d+\.(self_attn\.out_proj|fc2|\w+_layer_norm)\.(weight|bias)", 0),
    Owns("encoder.embedding_c", r"decoder\.layers\.\d+\.encoder_attn\.[kv]_proj\.weight", 1),
    Owns("encoder.embedding_c", r"encoder\.(embedding_c|pos_emb_mask)", 0),
)
_DECODER_WIDTH = (
    Owns("decoder.embedding_c", r"decoder\.(embed_tokens|output_projection)\.weight", 1),
    Owns("decoder.embedding_c", r"decoder\.layers\.\d+\.(self_attn\.[qkv]_proj|encoder_attn\.q_proj|fc1)\.weight", 1),
    Owns("decoder.embedding_c", r"decoder\.layers\.\d+\.(\w+_attn\.out_proj|fc2|\w+_layer_norm)\.(weight|bias)", 0),
    Owns("decoder.embedding_c", r"decoder\.(embedding_c|pos_emb_mask)", 0),
)
_KINDS = {"embedding_c": "residual", "qk_c": "qk", "vo_c": "vo", "fc_c": "neuron", "_attn": "head"}  # by the ending
BLOCKS = FEED_FORWARD + ATTENTION
ENCODER_DECODER = BLOCKS + _ENCODER_WIDTH + _DECODER_WIDTH


def transformer_table(names: Iterable[str], shared: bool) -> Table:
    """The table of an encoder-decoder Transformer.

    Source: SRP, its removal of connectivity vectors; here as data.

    Args:
        names: entry names of its state dict.
        shared: True if encoder and decoder share their embeddings: then both have one residual
            width, ``encoder.embedding_c``.

    Returns:
        dict of entry name -> tuple of :class:`~fairseq_prune.pruning.surgery.table.Owner`.
    """
    aliases = {"decoder.embedding_c": "encoder.embedding_c"} if shared else {}
    return build_table(ENCODER_DECODER, names, aliases)


def kind_of(name: str) -> str:
    """Tell the kind of a vector's units from the ending of its name.

    Raises:
        ValueError: no such ending.

    Example:
        >>> kind_of("decoder.layers.1.encoder_attn_vo_c")
        'vo'
    """
    for ending, kind in _KINDS.items():
        if name.endswith(ending):
            return kind
    raise ValueError(f"{name} is not a vector of a Transformer; these end in {', '.join(_KINDS)}")


def block_of(vector: str) -> str:
    """Name of the attention block whose heads or dimensions a vector is.

    Example:
        >>> block_of("decoder.layers.1.encoder_attn_vo_c"), block_of("encoder.layers.0.self_attn")
        ('decoder.layers.1.encoder_attn', 'encoder.layers.0.self_attn')
    """
    return vector.removesuffix("_qk_c").removesuffix("_vo_c")


def vectors_of(
    table: Table, shapes: Shapes, lengths: Mapping[str, int], heads: Mapping[str, int]
) -> tuple[Coupled, ...]:
    """What a model with connectivity knows of its units.

    Args:
        table: from :func:`transformer_table`.
        shapes: dict of parameter name -> shape.
        lengths: dict of vector name -> units (count).
        heads: dict of vector name -> heads (count), for those of attention blocks.

    Returns:
        tuple of :class:`~fairseq_prune.pruning.surgery.structure.Coupled`, in the order of the lengths.
    """

    def side(vector, axis):
        return tuple(entry for entry, at in entries_of(table, vector) if at == axis and len(shapes.get(entry, ())) > 1)

    return tuple(
        Coupled(name, kind_of(name), length, side(name, 0), side(name, 1), heads=heads.get(name, 1))
        for name, length in lengths.items()
    )
