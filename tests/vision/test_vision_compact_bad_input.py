"""What `fairseq-prune compact` and `inspect` refuse of image classifiers."""

import re
from argparse import Namespace
from collections import OrderedDict
from dataclasses import replace

import pytest
from commands import refused
from conftest import same_tensors
from digits import new_checkpoint

from fairseq_prune.deploy.compactors import COMPACTORS
from vision_bridge.compact import compact as cut_checkpoint
from vision_bridge.rebuild import rebuild


def test_a_wrong_cut_is_refused_and_leaves_no_file(masked, tmp_path, monkeypatch):
    """Negative control of the comparison: the shift of one channel that stays is a little off."""
    right = COMPACTORS["image_classifier"]

    def wrong(checkpoint):
        cut, removed = right.compact(checkpoint)
        cut["model"]["net.layer1.0.bn2.bias"][0] += 1e-3
        return cut, removed

    monkeypatch.setitem(COMPACTORS, "image_classifier", replace(right, compact=wrong))
    message = refused("compact", masked, tmp_path / "out.pt")
    assert re.search(r"differ by \d\.\d+e-\d+ of the largest one, more than 1e-06; nothing is written", message)
    assert not list(tmp_path.iterdir())


def test_mistakes_end_in_one_line(dense, masked, tmp_path):
    out = tmp_path / "out.pt"
    assert "nothing to cut" in refused("compact", dense, out)
    assert "DATA nowhere: no such folder" in refused("compact", masked, out, "--data", "nowhere")
    assert "is CHECKPOINT itself" in refused("compact", masked, masked, "--overwrite")
    assert refused("inspect", masked, "--reference").startswith("--reference: has no effect here; ")
    out.write_text("mine")
    assert "exists; give another name or --overwrite" in refused("compact", masked, out)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_nets_that_cannot_be_cut():
    with pytest.raises(ValueError, match="^ShuffleNet cannot be traced: "):
        cut_checkpoint(new_checkpoint("shufflenetv2"))
    with pytest.raises(ValueError, match="^nothing to cut: no channel of this net can be removed$"):
        cut_checkpoint(new_checkpoint("logistic"))


def test_options_that_came_later_have_their_defaults(perceptron):
    checkpoint, _ = perceptron
    options = {k: v for k, v in vars(checkpoint["cfg"]["model"]).items() if k not in ("net_weights", "net_dropout")}
    older = rebuild({**checkpoint, "cfg": {**checkpoint["cfg"], "model": Namespace(**options)}})
    assert same_tensors(dict(older.state_dict()), dict(checkpoint["model"]))


def test_checkpoints_that_do_not_fit(perceptron):
    checkpoint, (one, *_) = perceptron
    without = {**checkpoint, "model": OrderedDict(checkpoint["model"])}
    del without["model"][f"{one}.bias"]
    with pytest.raises(ValueError, match=f"do not fit architecture lenet300: .*{one}.bias"):
        rebuild(without)
    options = {k: v for k, v in vars(checkpoint["cfg"]["model"]).items() if k != "image_shape"}
    with pytest.raises(ValueError, match="does not say the shape of its images"):
        rebuild({**checkpoint, "cfg": {**checkpoint["cfg"], "model": Namespace(**options)}})
