"""--prune-params-left and --prune-macs-left in trainings: of a family and of images."""

import pytest
import torch
from conftest import words_of
from fairseq import checkpoint_utils
from torch.utils.flop_counter import FlopCounterMode

from fairseq_prune.report.cost import count_macs

NEURONS = "--prune-method magnitude --prune-units neuron"


def parameters(model):
    return sum({t.data_ptr(): t.numel() for n, t in model.items() if not n.endswith("version")}.values())


@pytest.mark.parametrize(
    "of, schedule", [("macs", ""), ("params", "--prune-schedule linear --prune-end 4up --prune-every 2up")]
)
def test_a_transformer(of, schedule, new_run):
    """The last event counts, whatever the earlier ones removed."""
    count = parameters if of == "params" else lambda model: count_macs(model, 25, 25)[1]
    dense = new_run("dense").train("--max-update", "1")["model"]
    model = new_run("pruned").train(*words_of(f"{NEURONS} --prune-{of}-left 0.85 {schedule}"))["model"]
    unit = (16 + 16 + 1) / parameters(dense) if of == "params" else 25 * 2 * 16 / count(dense)
    assert 0.85 - unit < count(model) / count(dense) <= 0.85


def test_it_resumes(new_run):
    """An interrupted run ends as the whole one."""
    how = words_of(f"{NEURONS} --prune-macs-left 0.85 --prune-schedule linear --prune-end 6up --prune-every 2up")
    whole, again = new_run("whole"), new_run("again")
    last = whole.train(*how, "--save-interval-updates", "4")["model"]
    again.begin_at(next(whole.folder.glob("checkpoint_*_4.pt")))
    resumed = again.train(*how)["model"]
    assert last.keys() == resumed.keys() and all(torch.equal(last[name], resumed[name]) for name in last)


def test_refused_before_training(new_run):
    run = new_run()
    with pytest.raises(SystemExit, match="^--prune-params-left 0.05: at least 0.6771 of them stay"):
        run.train(*words_of(f"{NEURONS} --prune-params-left 0.05"))
    assert not list(run.folder.glob("*.pt"))


def test_images(new_image_run):
    """Channels: what torch counts of the net that the checkpoint holds."""
    dense, pruned = new_image_run("dense"), new_image_run("pruned")
    dense.train("--max-update", "1")
    pruned.train(*words_of("--prune-method l1 --prune-macs-left 0.6"))
    before, after = (products(run.folder / "checkpoint_last.pt") for run in (dense, pruned))
    assert 0.5 < after / before <= 0.6


def products(path):
    """torch's count for an image."""
    (model,), cfg, task = checkpoint_utils.load_model_ensemble_and_task([str(path)])
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, *model.image_shape))
    return counter.get_total_flops()
