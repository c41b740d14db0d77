"""Stock fairseq models of a few hundred weights, with a dictionary of 40 words (4 of them special)."""

from argparse import Namespace
from types import SimpleNamespace

VOCABULARY = 40
ENCODER = {
    "encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 24, "encoder_attention_heads": 2,
}  # fmt: skip
DECODER = {
    "decoder_layers": 1, "decoder_embed_dim": 16, "decoder_ffn_embed_dim": 20, "decoder_attention_heads": 2,
    "decoder_input_dim": 16, "decoder_output_dim": 16,
}  # fmt: skip


def build_model(arch, **options):
    """Build an architecture the way fairseq's tasks do, without dropout, in training mode."""
    from fairseq.data import Dictionary
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY

    dictionary = Dictionary()
    for word in range(VOCABULARY - len(dictionary)):
        dictionary.add_symbol(f"w{word}")
    task = SimpleNamespace(
        source_dictionary=dictionary, target_dictionary=dictionary, dictionary=dictionary, mask_idx=3
    )
    dataclass = MODEL_DATACLASS_REGISTRY.get(arch)
    args = Namespace(**(vars(dataclass()) if dataclass else {}))
    vars(args).update(arch=arch, criterion="cross_entropy", tokens_per_sample=64, dropout=0.0)
    vars(args).update({"max_source_positions": 64, "max_target_positions": 64} | options)
    ARCH_CONFIG_REGISTRY[arch](args)
    return ARCH_MODEL_REGISTRY[arch].build_model(args, task)
