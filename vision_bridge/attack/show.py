"""The report as text and as a figure."""

from pathlib import Path
from typing import Any

from fairseq_prune.files.locks import StrPath
from fairseq_prune.report.layout import align
from fairseq_prune.report.png import save_png

NAMES = {"linf": "Linf", "l2": "L2", "l1": "L1"}
FOOTER = (
    "accuracy in % under changes of at most that norm, with pixels in [0, 1]; median: of the smallest norms that\n"
    "mislead the model, 0 for images that it gets wrong unchanged"
)


def by_norm(report: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Group the attacks of a report: dict of norm -> list of attacks, in the order of the report."""
    found = {}
    for attack in report["attacks"]:
        found.setdefault(attack["norm"], []).append(attack)
    return found


def render(report: dict[str, Any]) -> str:
    """Lay out a report for a terminal, with a table for each norm."""
    lines = [
        f"{report['checkpoint']}: {report['images']:,} images of {report['data']}, {report['split']}, "
        f"seed {report['seed']}; clean accuracy {100 * report['clean_accuracy']:.2f} %"
    ]
    for norm, attacks in by_norm(report).items():
        rows = [(NAMES[norm], *attacks[0]["labels"], "median")]
        for attack in attacks:
            rows.append(
                (attack["name"], *(f"{100 * share:.2f}" for share in attack["robust_accuracy"]), _median(attack))
            )
        lines += ["", *align(rows)]
    return "\n".join([*lines, "", FOOTER])


def _median(attack):
    if attack["kind"] == "fixed":
        return "-"
    return "inf" if attack["median_norm"] is None else f"{attack['median_norm']:.4f}"


def draw_figure(report: dict[str, Any], path: StrPath) -> None:
    """Draw accuracy against epsilon as a PNG, a panel for each norm."""
    from matplotlib.figure import Figure

    groups = by_norm(report)
    figure = Figure(figsize=(4.5 * len(groups), 3.5), layout="constrained")
    for axes, (norm, attacks) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        for attack in attacks:
            shares = [report["clean_accuracy"], *attack["robust_accuracy"]]
            axes.plot([0, *attack["epsilons"]], [100 * share for share in shares], marker="o", label=attack["name"])
        axes.set(xlabel=f"{NAMES[norm]} norm of the change, pixels in [0, 1]", ylabel="accuracy in %", ylim=(0, 100))
        axes.legend()
    figure.suptitle(Path(report["checkpoint"]).name)
    save_png(figure, path)
