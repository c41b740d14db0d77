"""The table of a sweep, by hand."""

from fairseq_prune.report.sweep import draw_sweep, render_sweep, rows_of

REPORT = {
    "metric": "test_bleu", "budget": "target", "higher_is_better": True, "ended": 4, "count": 6, "dense": 40.0,
    "cells": [
        {
            "method": "magnitude", "control": False, "target": 0.5, "options": {}, "stopped": 0,
            "trials": [{"seed": s, "quality": q, "removed": 0.5} for s, q in ((1, 38.0), (2, 39.0), (3, 43.0))],
        },
        {
            "method": "chance", "control": True, "target": 0.5, "options": {"--lr": 0.1}, "stopped": 2,
            "trials": [{"seed": 1, "quality": 20.0, "removed": 0.4}],
        },
        {"method": "none", "control": False, "target": None, "options": {}, "stopped": 0, "trials": []},
    ],
}  # fmt: skip


def test_mean_and_sample_deviation():
    first, second, third = rows_of(REPORT)
    assert (first["mean"], first["sd"], first["trials"]) == (40.0, 7**0.5, 3)  # (4 + 1 + 9) / 2
    assert (second["mean"], second["sd"], second["removed"]) == (20.0, None, 0.4)
    assert (third["mean"], third["sd"], third["trials"]) == (None, None, 0)


def test_text():
    lines = render_sweep(REPORT).splitlines()
    assert lines[0].split() == ["method", "target", "removed", "trials", "mean", "test_bleu", "sd"]
    assert [line.split() for line in lines[1:5]] == [
        ["dense", "-", "0.0000", "-", "40.0000", "-"],
        ["magnitude", "0.5", "0.5000", "3", "40.0000", "2.6458"],
        ["chance", "0.5", "0.4000", "1", "20.0000", "-"],
        ["none", "-", "-", "0", "-", "-"],
    ]
    assert lines[-2:] == ["chance at 0.5: --lr 0.1 (2 trials stopped early)", "4 of 6 trials are done"]


def test_figure(tmp_path, monkeypatch):
    """A dense line, a broken line of the control, error bars of one standard deviation."""
    figures = []
    monkeypatch.setattr("fairseq_prune.report.sweep.save_png", lambda figure, path: figures.append(figure))
    draw_sweep(REPORT, tmp_path / "a.png")
    (axes,) = figures[0].axes
    assert list(axes.lines[0].get_ydata()) == [40.0, 40.0]
    magnitude, random = axes.containers
    assert magnitude.lines[2][0].get_segments()[0][:, 1].tolist() == [40 - 7**0.5, 40 + 7**0.5]
    assert random.lines[0].get_linestyle() == "--" and magnitude.lines[0].get_linestyle() == "-"
