"""GReg's figure: the norms of kept and of removed units while the penalty grows."""

import json
import math
from pathlib import Path
from typing import Any

from ..errors import errors_of_a_file
from ..pruning.growing import FILE
from .png import check_png, save_png


def read_growth(folder: str) -> list[dict[str, Any]]:
    """Read the record that a run wrote next to its checkpoints.

    Args:
        folder: --save-dir of the run.

    Returns:
        list of records in the order of updates, without those that a resumed run wrote twice.

    Raises:
        ValueError: there is no such file, or it is not one of ours.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise ValueError(
            f"SAVE_DIR {folder}: has no {FILE}; give the --save-dir of a run with e.g. --prune-method greg1"
        )
    with errors_of_a_file(path, "cannot be read"):
        records = {record["updates"]: record for record in map(json.loads, path.read_text("utf-8").splitlines())}
        if not all(isinstance(record["layers"], dict) for record in records.values()) or not records:
            raise ValueError("holds no records of layers")
        return [records[updates] for updates in sorted(records)]


def draw_growth(records: list[dict[str, Any]], path: str) -> None:
    """Draw mean L1 norms against updates, a panel for each layer.

    Args:
        records: from :func:`read_growth`.
        path: PNG to write.

    Raises:
        ValueError: the name is not that of a PNG, its folder does not exist, or Matplotlib is missing.
    """
    check_png("OUT", path)
    from matplotlib.figure import Figure

    layers = list(records[0]["layers"])
    columns = math.ceil(math.sqrt(len(layers)))
    rows = math.ceil(len(layers) / columns)
    figure = Figure(figsize=(3 * columns, 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel, layer in zip(panels, layers, strict=False):
        _draw_layer(panel, records, layer)
    for panel in list(panels)[len(layers) :]:
        panel.axis("off")
    figure.supxlabel("updates")
    figure.supylabel("mean L1 norm of a unit")
    save_png(figure, path)


def _draw_layer(panel, records, layer):
    updates = [record["updates"] for record in records]
    for kind in ("kept", "removed"):
        panel.plot(updates, [record["layers"][layer][kind] for record in records], label=kind)
    panel.set_title(layer, fontsize="small")
    panel.set_ylim(bottom=0)
    panel.legend(fontsize="x-small")
