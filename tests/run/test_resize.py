"""Stock models take over the feed-forward widths of what they load, on several ranks before DDP wraps them."""

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from small_models import DECODER, ENCODER, build_model

from fairseq_prune.checkpoint.resize import follow_widths, load_before_wrapping
from fairseq_prune.checkpoint.start import find_start


def narrow_state(model, width):
    """The model's own state dict with encoder layer 0 cut or padded to ``width`` neurons."""
    state = OrderedDict((name, value.clone()) for name, value in model.state_dict().items())
    for name, axis in (("fc1.weight", 0), ("fc1.bias", 0), ("fc2.weight", 1)):
        full = f"encoder.layers.0.{name}"
        shape = [*state[full].shape]
        shape[axis] = width
        state[full] = torch.ones(shape)
    return state


@pytest.fixture
def small():
    model = build_model("transformer", **ENCODER, **DECODER)
    follow_widths(model)
    return model


def test_widths_follow_the_weights(small):
    parameter = small.encoder.layers[0].fc1.weight
    small.load_state_dict(narrow_state(small, 5))
    assert parameter is small.encoder.layers[0].fc1.weight and parameter.shape == (5, 16)
    assert small.encoder.layers[0].fc1.out_features == small.encoder.layers[0].fc2.in_features == 5
    assert small.encoder.layers[1].fc1.weight.shape == (24, 16)
    small.load_state_dict(narrow_state(small, 24))  # as wide as the architecture
    assert parameter.shape == (24, 16)


def test_wider_weights_and_weights_that_disagree_are_torchs_error(small):
    with pytest.raises(RuntimeError, match="size mismatch for encoder.layers.0.fc1.weight"):
        small.load_state_dict(narrow_state(small, 25))
    state = narrow_state(small, 5)
    state["encoder.layers.0.fc1.bias"] = torch.ones(6)
    with pytest.raises(RuntimeError, match="size mismatch for encoder.layers.0.fc1.weight"):
        small.load_state_dict(state)
    assert small.encoder.layers[0].fc1.weight.shape == (24, 16)


@pytest.mark.parametrize("which", ["last", "restore", "finetune", "nothing", "one process"])
def test_several_ranks_load_before_they_are_wrapped(small, tmp_path, which):
    """DDP notes shapes when it wraps, so they have to be there before the trainer loads."""
    files = {"last": "checkpoint_last.pt", "restore": "restore.pt"}
    path, other = tmp_path / files.get(which, "finetune.pt"), tmp_path / "finetune.pt"
    torch.save({"model": narrow_state(small, 7)}, other)
    torch.save({"model": narrow_state(small, 5)}, path)
    checkpoint = SimpleNamespace(
        save_dir=str(tmp_path),
        restore_file=str(path) if which == "restore" else "checkpoint_last.pt",
        finetune_from_model=None if which in ("nothing", "restore") else str(other),
        continue_once=None,
        checkpoint_suffix="",
    )
    load_before_wrapping(small, None, find_start(checkpoint), 1 if which == "one process" else 2)
    loaded = which not in ("nothing", "one process")
    assert small.encoder.layers[0].fc1.weight.shape == ((5, 16) if loaded else (24, 16))
    assert bool((small.encoder.layers[0].fc1.weight == 1).all()) == loaded
