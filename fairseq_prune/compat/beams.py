"""Hypotheses of a sentence share its keys and values; fairseq sets their number once and never resets it to 1."""

from .patching import patch_once


def install() -> None:
    """Tell the models how many hypotheses a sentence has, in each search and only while it runs."""
    from fairseq.sequence_generator import SequenceGenerator

    patch_once(SequenceGenerator, "_generate", _telling_beams)


def _telling_beams(generate):
    """fairseq sets the number when a generator is built, so the last one built decides for all generators of a model.

    Models that have a method ``share_beams`` get the number of hypotheses before the search, and 1 after it.
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
