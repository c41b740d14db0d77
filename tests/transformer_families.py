"""Small stock models of every family of Transformers, with 4 heads of 4 dimensions, and what they put out."""

from argparse import Namespace
from types import SimpleNamespace

import torch
from small_models import build_model
from srp_models import batch, busy, dictionary, logits

_ENCODER = {
    "encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 12, "encoder_attention_heads": 4,
}  # fmt: skip
_DECODER = {
    "decoder_layers": 2, "decoder_embed_dim": 16, "decoder_ffn_embed_dim": 12, "decoder_attention_heads": 4,
    "decoder_input_dim": 16, "decoder_output_dim": 16,
}  # fmt: skip
_BOTH = _ENCODER | _DECODER
_PRE_NORM = {"encoder_normalize_before": True, "decoder_normalize_before": True}
_SPEECH = {"input_feat_per_channel": 8, "input_channels": 1, "conv_channels": 16, "conv_kernel_sizes": "3"}
_WAVES = _ENCODER | {
    "conv_feature_layers": "[(8, 10, 5), (8, 3, 2)]", "conv_pos": 8, "conv_pos_groups": 2, "final_dim": 8,
    "encoder_layerdrop": 0.0, "dropout_input": 0.0, "dropout_features": 0.0,
}  # fmt: skip
_QUIET = {"attention_dropout": 0.0, "activation_dropout": 0.0, "pooler_dropout": 0.0}


def _hubert():
    from fairseq.models.hubert.hubert import HubertConfig, HubertModel

    config = HubertConfig(**_WAVES, dropout=0.0, attention_dropout=0.0, label_rate=50)
    return HubertModel(config, Namespace(sample_rate=16_000), [dictionary(12)])


def _classifier():
    model = build_model("roberta", **_ENCODER, **_QUIET)
    model.register_classification_head("sentence", num_classes=3)
    return model


def _sound():
    return torch.randn(2, 200, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def _speech():
    generator = torch.Generator().manual_seed(3)
    frames = torch.randn(2, 12, 8, generator=generator, dtype=torch.float64)
    return frames, torch.tensor([12, 8]), torch.randint(4, 36, (2, 5), generator=generator)


FAMILIES = {  # name -> (function that builds a model, function of it -> its output in float64)
    "post-norm": (lambda: build_model("transformer", **_BOTH, **_QUIET), lambda m: m(*batch())[0]),
    "pre-norm": (lambda: build_model("transformer", **_BOTH, **_PRE_NORM, **_QUIET), lambda m: m(*batch())[0]),
    "widths": (
        lambda: build_model("transformer", **_BOTH | {"encoder_embed_dim": 12}, **_QUIET), lambda m: m(*batch())[0]
    ),
    "joint": (
        lambda: build_model("transformer", **_BOTH, **_QUIET, no_cross_attention=True, cross_self_attention=True),
        lambda m: m(*batch())[0],
    ),
    "transformer_lm": (lambda: build_model("transformer_lm", **_DECODER, **_QUIET), lambda m: m(batch()[0])[0]),
    "roberta": (lambda: build_model("roberta", **_ENCODER, **_QUIET), lambda m: m(batch()[0])[0]),
    "classifier": (_classifier, lambda m: m(batch()[0], classification_head_name="sentence")[0]),
    "s2t_transformer": (
        lambda: build_model("s2t_transformer", **_BOTH, **_SPEECH, **_QUIET), lambda m: m(*_speech())[0]
    ),
    "wav2vec2": (
        lambda: build_model("wav2vec2", **_WAVES, attention_dropout=0.0),
        lambda m: m(_sound(), mask=False, features_only=True)["x"],
    ),
    "hubert": (_hubert, lambda m: m(_sound(), mask=False, features_only=True)["x"]),
}  # fmt: skip


def build(family, seed=1):
    """A model of a family with random weights, in float64, in training mode and without dropout."""
    torch.manual_seed(seed)
    return busy(FAMILIES[family][0](), seed)


def output(family, model):
    """What a model puts out for a small padded batch."""
    return FAMILIES[family][1](model)


__all__ = ["FAMILIES", "SimpleNamespace", "build", "logits", "output"]
