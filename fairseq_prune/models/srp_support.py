"""What an SRP architecture cannot do, refused when it is built."""

_REFUSED = (  # options whose layers have no place for connectivity, and why
    ("encoder_normalize_before", "pre-norm layers; only post-norm is supported"),
    ("decoder_normalize_before", "pre-norm layers; only post-norm is supported"),
    ("encoder_learned_pos", "learned positions; only sinusoidal ones are supported"),
    ("decoder_learned_pos", "learned positions; only sinusoidal ones are supported"),
    ("layernorm_embedding", "normalised embeddings are not supported"),
    ("adaptive_input", "adaptive embeddings are not supported"),
    ("adaptive_softmax_cutoff", "an adaptive softmax is not supported"),
    ("cross_self_attention", "joint attention to source and target is not supported"),
    ("no_cross_attention", "decoders without attention to the encoder are not supported"),
    ("base_layers", "BASE layers are not supported"),
    ("quant_noise_pq", "quantisation noise is not supported"),
    ("quant_noise_scalar", "quantisation noise is not supported"),
    ("encoder_xformers_att_config", "xFormers attention is not supported"),
    ("decoder_xformers_att_config", "xFormers attention is not supported"),
    ("scale_attn", "scaled attention is not supported"),
    ("scale_fc", "scaled feed-forward layers are not supported"),
    ("scale_heads", "scaled heads are not supported"),
    ("scale_resids", "scaled residuals are not supported"),
    ("export", "TorchScript export is not supported"),
)


def check_supported(args):
    """Refuse options of fairseq's Transformer that an SRP architecture has no layers for.

    Args:
        args: Namespace of model options.

    Raises:
        ValueError: naming the option and what to use instead.
    """
    for option, reason in _REFUSED:
        value = getattr(args, option, None)
        if value:
            raise ValueError(
                f"--{option.replace('_', '-')} {value}: {reason} by the SRP architectures; leave it out, "
                "or prune the stock architecture with --task prune_translation"
            )
    width = getattr(args, "decoder_embed_dim", None)
    for option in ("decoder_input_dim", "decoder_output_dim"):
        value = getattr(args, option, None)
        if width and value not in (None, width):
            raise ValueError(f"--{option.replace('_', '-')} {value}: SRP needs the width of the layers, e.g. {width}")
