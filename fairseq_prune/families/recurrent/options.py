"""The options that build a recurrent model of given widths, so that a cut model's config is correct."""

import re
from collections.abc import Mapping

from torch import Tensor

Values = Mapping[str, Tensor]


def options(values: Values) -> dict[str, int]:
    """Sizes, by the names of the architecture's options.

    Args:
        values: dict of entry name -> tensor, of one of the models of fairseq or ours.

    Returns:
        dict of option -> value; empty where no options give these widths: they are known from the tensors only.
    """
    if "decoder.lstm.weight_hh_l0" in values:
        return {"decoder_embed_dim": _embedded(values, "decoder"), "decoder_hidden_size": _width(values, "lstm", "_l0")}
    if any(name.startswith("encoder.rnn.") for name in values):
        return _of_ours(values)
    return _of_fairseqs(values) if "decoder.layers.0.weight_hh" in values else {}


def _of_ours(values):
    hidden = _width(values)
    shapes = {"output_proj": (hidden, 2 * hidden), "v": (1, hidden)}
    for name, value in values.items():
        if name.startswith("decoder.attention.") and value.dim() > 1:
            if tuple(value.shape) != shapes.get(name.split(".")[2], (hidden, hidden)):
                return {}
    return {"hidden_size": hidden} | {f"{side}_embed_dim": _embedded(values, side) for side in ("encoder", "decoder")}


def _of_fairseqs(values):
    hidden, adaptive = _width(values), any("adaptive_softmax" in name for name in values)
    extra = values.get("decoder.additional_fc.weight")
    out = hidden if extra is None else len(extra)
    read = "decoder.fc_out.weight" if "decoder.fc_out.weight" in values else "decoder.embed_tokens.weight"
    true = [(extra is None) == (out == hidden), adaptive or values[read].shape[1] == out]
    true += [
        len(values[name]) == int(hidden // 4 ** (int(match[1]) + 1))
        for name in values
        if (match := re.fullmatch(r"decoder\.adaptive_softmax\.tail\.(\d+)\.0\.weight", name))
    ]
    found = {"decoder_embed_dim": _embedded(values, "decoder"), "decoder_hidden_size": hidden}
    found["decoder_out_embed_dim"] = out
    if "encoder.lstm.weight_hh_l0" in values:
        one = values["encoder.lstm.weight_hh_l0"].shape[1]
        states = one * (1 + ("encoder.lstm.weight_hh_l0_reverse" in values))
        attention = values.get("decoder.attention.output_proj.weight")
        true += [("decoder.encoder_hidden_proj.weight" in values) == (states != hidden)]
        true += [attention is None or len(attention) == hidden]
        found |= {"encoder_embed_dim": _embedded(values, "encoder"), "encoder_hidden_size": one}
    return found if all(true) else {}


def _embedded(values, side):
    return values[f"{side}.embed_tokens.weight"].shape[1]


def _width(values, part="layers.0", end=""):
    return values[f"decoder.{part}.weight_hh{end}"].shape[1]
