"""Options that SRP architectures do not support, refused when a model is built."""

from argparse import Namespace

from ..families.transformer.unsupported import UNSUPPORTED


def check_supported(args: Namespace) -> None:
    """Refuse options of fairseq's Transformer that an SRP architecture has no layers for.

    Args:
        args: Namespace of model options.

    Raises:
        ValueError: naming the option and what to use instead.
    """
    for option, reason in UNSUPPORTED.items():
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
