"""Options of fairseq's Transformer under which SRP has no layers to cut."""

UNSUPPORTED = {  # name of the option -> why a model that has it cannot be an SRP one
    "encoder_normalize_before": "pre-norm layers; only post-norm is supported",
    "decoder_normalize_before": "pre-norm layers; only post-norm is supported",
    "encoder_learned_pos": "learned positions; only sinusoidal ones are supported",
    "decoder_learned_pos": "learned positions; only sinusoidal ones are supported",
    "layernorm_embedding": "normalised embeddings are not supported",
    "adaptive_input": "adaptive embeddings are not supported",
    "adaptive_softmax_cutoff": "an adaptive softmax is not supported",
    "cross_self_attention": "joint attention to source and target is not supported",
    "no_cross_attention": "decoders without attention to the encoder are not supported",
    "base_layers": "BASE layers are not supported",
    "quant_noise_pq": "quantisation noise is not supported",
    "quant_noise_scalar": "quantisation noise is not supported",
    "encoder_xformers_att_config": "xFormers attention is not supported",
    "decoder_xformers_att_config": "xFormers attention is not supported",
    "scale_attn": "scaled attention is not supported",
    "scale_fc": "scaled feed-forward layers are not supported",
    "scale_heads": "scaled heads are not supported",
    "scale_resids": "scaled residuals are not supported",
    "export": "TorchScript export is not supported",
}
