"""What a growing penalty does to units, as lines of JSON beside the checkpoints."""

import json
import os

from ..pruning.growing import FILE
from . import ranks


def add_record(folder, record):
    """Add a line; the first of a growth begins the file anew.

    Args:
        folder: where checkpoints are saved.
        record: of :class:`~.approach.growing.GrowingPenalty`; None: there is nothing to add. Only rank 0 writes.
    """
    if record is None or ranks.rank():
        return
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, FILE), "w" if record["updates"] == record["began"] else "a") as file:
        file.write(json.dumps(record) + "\n")
