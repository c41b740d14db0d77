"""Masks come with weights, whatever of them is shared where they come from and where they go."""

from types import SimpleNamespace

import pytest
import torch
from fairseq.dataclass.configs import EMAConfig
from fairseq.models.ema.ema import EMA
from torch import nn

from fairseq_prune import compat
from fairseq_prune.engine.pruner import Pruner


class Sharing(nn.Module):
    """An embedding, what reads it out, and whether these are one tensor."""

    def __init__(self, shares):
        super().__init__()
        torch.manual_seed(int(shares))
        self.embed, self.out, self.other = nn.Embedding(8, 4), nn.Linear(4, 8, bias=False), nn.Linear(4, 8, bias=False)
        if shares:
            self.out.weight = self.embed.weight


def masked(shares, **masks):
    model = Sharing(shares)
    pruner = Pruner(model)
    pruner.masked.adopt({f"{name}.weight": keep for name, keep in masks.items()})
    pruner.masked.mask_values(SimpleNamespace())
    return model, pruner


KEEP = torch.arange(32).view(8, 4) % 3 > 0


@pytest.mark.parametrize("copied", [False, True], ids=["shared in memory", "written by a GPU"])
def test_every_copy_of_a_tensor_that_was_shared_has_its_mask(copied):
    model, _ = masked(True, embed=KEEP)
    state = model.state_dict()
    if copied:
        for name in state:
            state[name] = state[name].clone()
    apart = Pruner(other := Sharing(False))
    other.load_state_dict(state)
    assert apart.masks.keys() == {"embed.weight", "out.weight"}
    assert all(torch.equal(keep, KEEP) for keep in apart.masks.values())
    assert apart.masked.parameters_left == 3 * 32 - 2 * 11
    again = Pruner(shared := Sharing(True))
    shared.load_state_dict(other.state_dict())
    assert again.masks.keys() == {"embed.weight"}


def test_where_tensors_become_one_the_mask_is_that_of_the_value():
    """Torch loads one name after the other, so the last one's value stays."""
    for masks, expected in (({"out": KEEP}, True), ({"embed": KEEP}, False)):
        pruner = Pruner(shared := Sharing(True))
        shared.load_state_dict(masked(False, **masks)[0].state_dict())
        assert bool(pruner.masks) == expected == bool((shared.embed.weight == 0).any())


def test_masks_of_tensors_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"the checkpoint masks gone.weight \[8, 4\], which the model does not have"):
        masked(False, gone=KEEP)
    with pytest.raises(ValueError, match=r"the checkpoint masks embed.weight \[4, 8\], which"):
        masked(False, embed=KEEP.T)


def test_tensors_that_lost_their_masks_are_named(caplog):
    """Also where others have theirs; a tensor that is all zero may have begun so."""
    model, pruner = masked(False, embed=KEEP)
    with torch.no_grad():
        model.out.weight.zero_()
    pruner.check_start()
    assert not caplog.text
    with torch.no_grad():
        model.other.weight[0] = 0
    model.load_state_dict(dict(model.state_dict()))  # a plain dict brings no masks
    Pruner(model).check_start()
    assert "more than a tenth of embed.weight, other.weight is zero but came without masks" in caplog.text
    assert f"--prune-target {(11 + 32 + 4) / 96:.4f}" in caplog.text


@pytest.mark.parametrize("half", [True, False], ids=["fp16", "fp32"])
def test_averages_and_their_fp32_copies_follow_a_removal(half):
    """Of a tensor that is shared under both its names; in half precision the copies are tensors of their own."""
    compat.install()
    model = Sharing(True)
    pruner = Pruner(model)
    averages = EMA(model.half() if half else model, EMAConfig(store_ema=True, ema_decay=0.9, ema_fp32=True))
    pruner.masked.adopt({"embed.weight": KEEP})
    with torch.no_grad():
        model.embed.weight += 1  # what trains, averages see in time
        model.other.weight += 1  # what an event changes, at once
    pruner.masked.update_averages(averages.get_model(), {"other.weight"})
    for name, value in averages.get_model().named_parameters(remove_duplicate=False):
        copy = averages.fp32_params[name]
        assert (copy.dtype, value.dtype) == (torch.float32, torch.float16 if half else torch.float32)
        for kept in (value, copy):
            assert bool(kept[~KEEP].any()) == (name == "other.weight") and kept[KEEP].all()
            now = model.get_parameter(name).to(kept.dtype)
            assert torch.equal(kept[KEEP], now[KEEP]) == (name == "other.weight")
