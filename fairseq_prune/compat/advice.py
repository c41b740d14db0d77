"""fairseq's advice that is not ours to follow: its import asks for tensorboardX, while torch's own writer does.

Not among the topics of :func:`~fairseq_prune.compat.install`: those begin when fairseq has been imported.
"""

import logging


def install() -> None:
    """Have fairseq's speech task say nothing below a warning; before fairseq is imported."""
    logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)
