"""SRP Transformers: fairseq's Transformer with connectivity, cut to any widths."""

from argparse import Namespace
from collections.abc import Mapping

import torch
from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer import transformer_legacy as stock

from ..checkpoint.srp_load import adapt_state, store_as_floats
from ..errors import one_line_errors
from ..families.transformer.table import transformer_table, vectors_of
from ..modules.connectivity import ConnectedLinear
from ..modules.layer_norm import ConnectedLayerNorm
from ..modules.multiplied import Multiplied
from ..pruning.surgery.cut import entries
from ..pruning.surgery.table import shortest_axis
from .srp_connect import connect
from .srp_support import check_supported


@register_model("srp_transformer")
class SrpTransformerModel(TransformerModel):
    """A post-norm Transformer whose units can be shrunk and cut.

    Built by replacing the layers of a stock model by ones that read connectivity vectors, so the
    same seed gives the same weights, parameter names are the same, and stock checkpoints load.
    Weights of any widths load into a model of the original size: it takes over their shapes.

    Attributes:
        connectivity: dict of vector name -> :class:`~fairseq_prune.modules.connectivity.Connectivity`.
        table: removal table, dict of entry name -> ((axis, vector name), ...).
        vectors: tuple of :class:`~fairseq_prune.pruning.surgery.structure.Coupled`, original lengths.
        original_shapes: dict of parameter name -> shape before any cut.
        cuts_on_load: set it, on the model or on the task that builds it, to have units with zero
            connectivity cut out of weights that are loaded; a run that continues from its own
            checkpoint must not.
    """

    def __init__(self, args, encoder, decoder):
        super().__init__(args, encoder, decoder)
        shared = encoder.embed_tokens is decoder.embed_tokens
        self.register_buffer("weighted_layer_norm", torch.tensor(1))
        self.connectivity, heads = connect(self, shared)
        self.table = transformer_table(entries(self), shared)
        self.original_shapes = {name: p.shape for name, p in self.named_parameters()}
        lengths = {name: len(c.vector) for name, c in self.connectivity.items()}
        self.vectors = vectors_of(self.table, self.original_shapes, lengths, heads)
        self.cuts_on_load = False
        self.asked_layer_norm = None
        self.register_state_dict_post_hook(store_as_floats)
        self.register_load_state_dict_pre_hook(adapt_state)
        self.register_load_state_dict_post_hook(_refresh)

    @classmethod
    def add_args(cls, parser):
        super().add_args(parser)
        parser.add_argument(
            "--weighted-layernorm",
            action="store_true",
            help="layer norm ignores removed dimensions; default: as in the checkpoint, weighted for a new model",
        )
        parser.add_argument(
            "--srp-plain-layernorm",
            action="store_true",
            help="layer norm counts removed dimensions as zeros; a model keeps its mode",
        )

    @classmethod
    def build_model(cls, args, task):
        with one_line_errors():
            weighted, plain = (getattr(args, f, False) for f in ("weighted_layernorm", "srp_plain_layernorm"))
            if weighted and plain:
                raise ValueError("--weighted-layernorm and --srp-plain-layernorm: give one of them, or neither")
            check_supported(args)
        model = super().build_model(args, task)
        model.cuts_on_load = getattr(task, "cuts_on_load", False)
        if weighted or plain:
            model.ask_layer_norm(weighted)
        return model

    def ask_layer_norm(self, weighted: bool) -> None:
        """Insist on a layer-norm mode (bool), instead of taking that of the weights which are loaded."""
        self.asked_layer_norm = weighted
        self.weighted_layer_norm.fill_(weighted)
        self.refresh()

    def share_beams(self, beams: int) -> None:
        """Read the source once for so many hypotheses in a row (count) in incremental decoding."""
        self.decoder.set_beam_size(beams)

    def leave_out(self, units: Mapping[str, torch.Tensor]) -> None:
        """Form no gradient of what units own in linear layers, as long as it would be dropped.

        Of a layer that loses rows and columns, those with the larger removed share: choosing both costs more than it
        saves.

        Args:
            units: dict of vector name -> bool tensor [length], True = those; empty: of everything again.
        """
        for name, module in self.named_modules():
            if isinstance(module, ConnectedLinear):
                shape, owners = module.weight.shape, self.table[f"{name}.weight"]
                module.kept = shortest_axis(shape, owners, units)

    def falling(self, units: Mapping[str, torch.Tensor]) -> Multiplied:
        """What a multiplier of units acts on, for a dict of vector name -> bool tensor [length]."""
        return Multiplied(self, {self.connectivity[name]: falling for name, falling in units.items()})

    def refresh(self) -> None:
        """Look again at the connectivity and the layer-norm mode; call after changing them."""
        for connectivity in self.connectivity.values():
            connectivity.refresh()
        weighted = bool(self.weighted_layer_norm)
        for module in self.modules():
            if isinstance(module, ConnectedLayerNorm):
                module.weighted = weighted


def _refresh(model, _):  # a named function, so the model can be pickled
    model.refresh()


@register_model_architecture("srp_transformer", "srp_iwslt_de_en")
def srp_iwslt_de_en(args: Namespace) -> None:
    """512 wide, feed-forward 1024, 4 heads, 6 + 6 layers."""
    args.encoder_ffn_embed_dim = getattr(args, "encoder_ffn_embed_dim", 1024)
    args.encoder_attention_heads = getattr(args, "encoder_attention_heads", 4)
    args.decoder_ffn_embed_dim = getattr(args, "decoder_ffn_embed_dim", 1024)
    args.decoder_attention_heads = getattr(args, "decoder_attention_heads", 4)
    srp_transformer(args)


@register_model_architecture("srp_transformer", "srp_iwslt_de_en_small")
def srp_iwslt_de_en_small(args: Namespace) -> None:
    """As srp_iwslt_de_en with 3 + 3 layers."""
    args.encoder_layers = getattr(args, "encoder_layers", 3)
    args.decoder_layers = getattr(args, "decoder_layers", 3)
    srp_iwslt_de_en(args)


@register_model_architecture("srp_transformer", "srp_tiny")
def srp_tiny(args: Namespace) -> None:
    """128 wide, feed-forward 256, 4 heads, 2 + 2 layers: the demo's."""
    for side in ("encoder", "decoder"):
        for option, value in (("embed_dim", 128), ("ffn_embed_dim", 256), ("layers", 2), ("attention_heads", 4)):
            setattr(args, f"{side}_{option}", getattr(args, f"{side}_{option}", value))
    srp_transformer(args)


@register_model_architecture("srp_transformer", "srp_vaswani_wmt_en_de_big")
def srp_vaswani_wmt_en_de_big(args: Namespace) -> None:
    """1024 wide, feed-forward 4096, 16 heads, 6 + 6 layers, dropout 0.3."""
    stock.transformer_vaswani_wmt_en_de_big(args)


@register_model_architecture("srp_transformer", "srp_wmt_en_de")
@register_model_architecture("srp_transformer", "srp")
@register_model_architecture("srp_transformer", "srp_transformer")
def srp_transformer(args: Namespace) -> None:
    """512 wide, feed-forward 2048, 8 heads, 6 + 6 layers."""
    stock.base_architecture(args)
