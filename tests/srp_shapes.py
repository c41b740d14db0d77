"""SRP's reference architecture, whole and cut, as shapes alone: state dicts on the meta device."""

import torch

KEPT = {  # rate: (embedding width, width of a head, feed-forward units of all layers), as the original cut
    0.05: (78, 19, 1889), 0.1: (127, 31, 3062), 0.2: (199, 49, 4788), 0.3: (255, 63, 6136), 0.5: (345, 86, 8294),
}  # fmt: skip
HEADS = 4


def spread(units, layers):
    """``units`` in nearly equal whole shares, the larger ones spread too."""
    return [units * (layer + 1) // layers - units * layer // layers for layer in range(layers)]


def attention(prefix, width, wide):
    """Shapes of one attention block and its connectivity."""
    shapes = {f"{prefix}.{part}_proj.weight": (wide, width) for part in "qkv"}
    return shapes | {f"{prefix}.out_proj.weight": (width, wide), f"{prefix}_qk_c": (wide,), f"{prefix}_vo_c": (wide,)}


def srp_state(width=512, head=128, units=12288, layers=6, words=(8848, 6632)):
    """Matrices and buffers of ``srp_iwslt_de_en``, or cut like it (meta tensors by name)."""
    shapes, hidden = {"weighted_layer_norm": ()}, spread(units, 2 * layers)
    for side, vocabulary in zip(("encoder", "decoder"), words, strict=True):
        shapes |= {f"{side}.embed_tokens.weight": (vocabulary, width), f"{side}.embedding_c": (width,)}
        for layer in range(layers):
            block, unit = f"{side}.layers.{layer}.", hidden.pop(0)
            shapes |= attention(block + "self_attn", width, HEADS * head)
            if side == "decoder":
                shapes |= attention(block + "encoder_attn", width, HEADS * head)
            shapes |= {
                block + "fc1.weight": (unit, width),
                block + "fc2.weight": (width, unit),
                block + "fc_c": (unit,),
            }
    shapes["decoder.output_projection.weight"] = (words[1], width)  # tied
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
