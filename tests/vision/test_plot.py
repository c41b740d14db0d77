"""The figures of fairseq-prune plot: their numbers by hand, and that they are written."""

import pytest
import torch
from commands import refused
from torch import nn

from fairseq_prune.cli.main import main
from vision_bridge.plots.confusion import confusion_matrix
from vision_bridge.plots.saliency import saliency
from vision_bridge.plots.scores import curve

PNG = b"\x89PNG\r\n\x1a\n"


class Linear(nn.Module):
    """Logits of 1x1x2 images by a matrix."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, image):
        return image.flatten(1) @ self.weight.T


def test_confusion():
    """The identity finds the larger pixel; two batches, one image of class 0 taken for 1, two of class 1 right."""
    images = torch.tensor([[1.0, 2], [3, 1], [0, 1], [0, 5]])[:, None, None]
    samples = [
        {"net_input": {"image": images[i : i + 2]}, "target": torch.tensor(targets)}
        for i, targets in ((0, [0, 0]), (2, [1, 1]))
    ]
    assert confusion_matrix(Linear([[1.0, 0], [0, 1]]), samples, 2).tolist() == [[1, 1], [0, 2]]
    assert confusion_matrix(Linear([[0.0, 1], [1, 0]]), samples, 2).tolist() == [[1, 1], [2, 0]]


def test_saliency():
    """The absolute row of the class that is found; the largest of two channels."""
    images = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    maps, found = saliency(Linear([[3.0, -1], [-2, 5]]), images)
    assert found.tolist() == [0, 1] and maps.tolist() == [[[3.0, 1.0]], [[2.0, 5.0]]]
    maps, _ = saliency(Linear([[3.0, -1, -4, 0.5], [0, 0, 0, 0]]), torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]]))
    assert maps.tolist() == [[[4.0, 1.0]]]


def test_curve():
    """Falling; what is zero is none of it, but counts in the fractions."""
    fractions, scores = curve(torch.tensor([[0.0, -3.0], [1.0, 0.0]]))
    assert fractions.tolist() == [0.25, 0.5] and scores.tolist() == [3.0, 1.0]
    fractions, scores = curve(torch.arange(1.0, 5001))
    assert (len(scores), scores[0], scores[-1], fractions[-1]) == (1000, 5000, 1, 1)


@pytest.fixture
def checkpoint(new_image_run):
    run = new_image_run()
    run.train("--prune-method", "snap", "--prune-target", "0.5", "--prune-batches", "1", "--max-update", "2")
    return str(run.folder / "checkpoint_last.pt")


def test_command(checkpoint, tmp_path, capsys):
    figures = [tmp_path / f"{name}.png" for name in ("confusion", "saliency", "scores")]
    words = [word for figure in figures for word in (f"--{figure.stem}", str(figure))]
    capsys.readouterr()
    main(["plot", checkpoint, *words, "--cpu", "--images", "2", "--batches", "1"])
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == [str(figure) for figure in figures]
    assert all(figure.read_bytes().startswith(PNG) for figure in figures)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("folder", ["/proc", None])
def test_no_place_for_a_figure(checkpoint, tmp_path, small_disk, folder):
    path = f"{folder or tmp_path}/scores.png"
    small_disk(5_000)
    line = refused("plot", checkpoint, "--scores", path, "--cpu", "--batches", "1")
    assert line.startswith(f"--scores {path}: ") and line.endswith(", e.g. --scores checkpoints/scores.png")
    assert not list(tmp_path.glob("scores*"))


@pytest.mark.parametrize(
    "words, message",
    [
        ("", "no figure is asked for; give --sparsity, .*--scores or --run, e.g. --sparsity sparsity.png"),
        ("--scores a.jpg", "--scores a.jpg: a PNG is written; give e.g. --scores scores.png"),
        ("--saliency none/a.png", "--saliency none/a.png: no such folder; give e.g. --saliency saliency.png"),
        ("--saliency a.png --images 0", "--images 0: at least 1; give e.g. --images 8"),
        ("--scores a.png", "missing.pt"),
    ],
)
def test_bad_input(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        main(["plot", "missing.pt", *words.split()])
