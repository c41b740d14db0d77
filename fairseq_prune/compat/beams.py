"""Hypotheses of a sentence share its keys and values; fairseq says once how many there are, and never that it is 1."""

from .patching import patch_once


def install() -> None:
    """Tell models in every search, and for as long as it lasts, how many hypotheses a sentence has."""
    from fairseq.sequence_generator import SequenceGenerator

    patch_once(SequenceGenerator, "_generate", _telling_beams)


def _telling_beams(generate):
    """fairseq says it when a generator is built, so that the one that was built last counts for all of a model.

    Models with a method ``share_beams`` are told; it takes the number of hypotheses (count), and 1 afterwards.
    """

    def search(self, *args, **kwargs):
        models = [model for model in self.model.models if hasattr(model, "share_beams")]
        try:
            for model in models:
                model.share_beams(self.beam_size)
            return generate(self, *args, **kwargs)
        finally:
            for model in models:
                model.share_beams(1)

    return search
