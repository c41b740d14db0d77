"""SRP Transformers and stock ones of the same few weights, a padded batch, and selections to cut."""

from argparse import Namespace
from types import SimpleNamespace

import torch

SIZES = {
    "encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 24, "encoder_attention_heads": 2,
    "decoder_layers": 2, "decoder_embed_dim": 16, "decoder_ffn_embed_dim": 20, "decoder_attention_heads": 4,
}  # fmt: skip
SHARING = {
    "untied": {},
    "tied": {"share_decoder_input_output_embed": True},
    "shared": {"share_all_embeddings": True},
    "narrow-encoder": {"encoder_embed_dim": 12},
}
STAGES = {0: ("residual", "qk", "vo", "neuron"), 1: ("residual",), 2: ("qk", "vo", "neuron")}
WORDS = 36
PAD = 1


def dictionary(words):
    """A fairseq dictionary of so many words, 4 of them special."""
    from fairseq.data import Dictionary

    made = Dictionary()
    for word in range(words - len(made)):
        made.add_symbol(f"w{word}")
    return made


def build(arch, words=(WORDS, WORDS), **options):
    """Build an architecture the way fairseq's tasks do, without dropout, from seed 1, to evaluate."""
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

    source, target = map(dictionary, words)
    args = Namespace(**{"arch": arch, "dropout": 0.0} | options)
    ARCH_CONFIG_REGISTRY[arch](args)
    task = SimpleNamespace(source_dictionary=source, target_dictionary=target)
    torch.manual_seed(1)
    return ARCH_MODEL_REGISTRY[arch].build_model(args, task).eval()


def stock(**options):
    """A stock Transformer of a few thousand weights."""
    return build("transformer", **SIZES | options)


def srp(**options):
    """The SRP Transformer of the same sizes."""
    return build("srp_transformer", **SIZES | options)


def busy(model, seed=1):
    """Give every parameter, norms and biases too, random values; in float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def batch():
    """Source tokens, their lengths, and target tokens; padded on both sides."""
    generator = torch.Generator().manual_seed(2)
    source = torch.randint(4, WORDS, (3, 7), generator=generator)
    target = torch.randint(4, WORDS, (3, 5), generator=generator)
    source[0, :2], source[2, :4], target[1, -2:] = PAD, PAD, PAD
    return source, source.ne(PAD).sum(1), target


def logits(model):
    """Teacher-forced logits [3, 5, words] of :func:`batch`."""
    with torch.no_grad():
        return model(*batch())[0]


def step_by_step(model):
    """The same, decoded incrementally."""
    source, lengths, target = batch()
    with torch.no_grad():
        encoded, cache = model.encoder(source, lengths), {}
        return torch.cat(
            [model.decoder(target[:, : i + 1], encoded, incremental_state=cache)[0] for i in range(target.shape[1])], 1
        )


def select_units(model, kinds, seed=1):
    """Units to keep, about half, as many of each head; some vector of ``fc_c`` and one of ``qk_c`` lose all."""
    generator, keep = torch.Generator().manual_seed(seed), {}
    for vector in model.vectors:
        if vector.kind in kinds:
            rows = torch.rand(vector.heads, vector.length // vector.heads, generator=generator)
            keep[vector.name] = (rows.argsort(1) >= rows.shape[1] // 2).flatten()
    for name in keep.keys() & {"decoder.layers.0.fc_c", "encoder.layers.1.self_attn_qk_c"}:
        keep[name][:] = False
    return keep


def switch_off(model, keep):
    """Set the connectivity of all units that are not kept to 0."""
    for name, kept in keep.items():
        model.connectivity[name].vector.copy_(kept)
    model.refresh()
    return model


def cut_copy(model, keep, **options):
    """A model of the original size that loaded the cut weights."""
    from fairseq_prune.pruning.surgery.cut import cut_state

    cut = srp(**options).double()
    cut.load_state_dict(cut_state(model.state_dict(), model.table, keep))
    return cut
