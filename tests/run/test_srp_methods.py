"""Widths by any pruning task, method and importance: SRP is a row of the table."""

import pytest
import torch
from conftest import TINY, Run, masks_of, same_tensors
from srp_diary import QUIET, keeping_a_diary, owned, size, srp_run, widths

SEED = "--srp --compression-rate 0.3 --srp-pruning-updates 4 --max-update 6".split()
OURS = "--prune-method srp --prune-target 0.7 --srp-pruning-updates 4 --max-update 6".split()


@pytest.fixture(scope="module")
def runs(parallel, tmp_path_factory):
    """Function of words -> (checkpoint, diary) of a run by prune_translation."""
    done = {}

    def train(*words):
        if words not in done:
            run = srp_run(tmp_path_factory.mktemp("srp"), parallel, task="prune_translation")
            with keeping_a_diary() as diary:
                done[words] = run.train(*words, *QUIET), diary
        return done[words]

    return train


def test_prune_translation_does_what_srp_translation_does(runs, parallel, tmp_path):
    """In the vocabulary of all methods, to the same bits; 0.7 removed is 0.3 left, but for rounding."""
    theirs = srp_run(tmp_path, parallel).train(*SEED, *QUIET)
    ours, diary = runs(*OURS, "--prune-batches", "16")
    assert same_tensors(ours["model"], theirs["model"])
    assert same_tensors(ours["last_optimizer_state"]["state"], theirs["last_optimizer_state"]["state"])
    assert len(diary.cuts) == 1 and diary.values() == [torch.tensor(v).item() for v in (0.75, 0.5, 0.25, 0)]


OTHERS = {
    "random": "--prune-importance random",
    "magnitude": "--prune-importance magnitude",
    "sensitivity": "--prune-importance sensitivity",
    "squared": "--prune-importance connectivity_squared --prune-units width:qk+vo+neuron+residual",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_importances_freeze_and_shrink_others(runs, name):
    """The same widths of other units, held to the bit and cut: controls for the score."""
    (srp, theirs), (ours, mine) = runs(*OURS), runs(*OURS, *OTHERS[name].split())
    assert size(ours) <= 0.3 * sum(v.numel() for v in mine.pages[0].before.values())
    assert {n: w for n, w in widths(ours).items() if "fc_c" not in n} == {
        n: w for n, w in widths(srp).items() if "fc_c" not in n
    }
    assert not same_tensors(mine.pages[0].selected, theirs.pages[0].selected)
    for entry, value in mine.pages[0].before.items():
        held = owned(mine.cuts[0].table, entry, value.shape, mine.pages[0].selected)
        assert torch.equal(mine.cuts[0].before[entry][held], value[held])


def test_magnitude_takes_the_smallest(runs):
    """Mean absolute weights of what writes a dimension, of every head equally many."""
    _, diary = runs(*OURS, *OTHERS["magnitude"].split())
    page = diary.pages[0]
    layer = "encoder.layers.0.self_attn"
    sizes = page.before[f"{layer}.v_proj.weight"].abs().mean(1).view(2, -1)
    removed = page.selected[f"{layer}_vo_c"].view(2, -1)
    assert removed.sum(1).tolist() == [int(removed.sum()) // 2] * 2 and removed.any()
    assert all(sizes[head][removed[head]].max() < sizes[head][~removed[head]].min() for head in (0, 1))


def test_gradual_and_at_once_by_other_schedules(runs):
    """srp_once cuts before the first update; a linear schedule cuts in steps, to the widths of one."""
    once, diary = runs(*"--prune-method srp_once --prune-target 0.7 --max-update 2".split())
    assert [cut.updates for cut in diary.cuts] == [0] and size(once) <= 0.3 * sum(
        v.numel() for v in diary.pages[0].before.values()
    )
    words = "--prune-method srp_once --prune-schedule linear --prune-target 0.7 --prune-end 4up --prune-every 2up"
    steps, diary = runs(*words.split(), "--max-update", "5")
    assert [cut.updates for cut in diary.cuts] == [2, 4]
    assert {n: w for n, w in widths(steps).items() if "fc_c" not in n} == {
        n: w for n, w in widths(once).items() if "fc_c" not in n
    }


def test_neurons_of_an_srp_architecture_are_masked_and_cut(parallel, tmp_path):
    """As of a stock one: other units than widths know nothing of connectivity."""
    words = "--prune-method magnitude --prune-units neuron --prune-target 0.5 --max-update 3".split()
    ours = srp_run(tmp_path / "srp", parallel, task="prune_translation").train(*words, *QUIET)
    stock = Run(tmp_path / "stock", parallel, "prune_translation",
                f"--arch transformer --share-decoder-input-output-embed {TINY}").train(*words, *QUIET)  # fmt: skip
    shapes = {name: value.shape for name, value in stock["model"].items() if value.dim() > 1}
    assert {name: ours["model"][name].shape for name in shapes} == shapes
    assert sum(w for n, w in widths(ours).items() if n.endswith("fc_c")) == 32 and not masks_of(ours)


REFUSED = {
    "--prune-method srp --prune-target 0.5 --prune-units weight": "--prune-units weight: are not for .* e.g. .* width",
    "--prune-method snip --prune-target 0.5 --prune-importance connectivity": "--prune-importance connectivity: .*idth",
    "--prune-method admm --prune-units width --prune-target 0.5 --prune-freeze 9up": "--prune-units width: are not for",
    "--prune-method srp --prune-target 0.5 --prune-schedule cubic --prune-end 4up": "--prune-schedule cubic: is not",
    "--prune-method srp --prune-target 0.999": "--prune-target 0.999, or --compression-rate 0.001: .* residual width",
    "--prune-method srp --prune-target 0.5 --prune-skip *fc1*": "--prune-skip .*: is not for widths",
    "--prune-method srp --prune-target 0.5 --prune-units width:heads": "--prune-units width:heads: cannot read",
    "--prune-method srp --prune-target 0.5 --prune-end 4up": "--prune-end 4up: --prune-schedule rounds ends with",
    "--prune-method srp": "--prune-method srp needs --prune-target",
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_mistakes(parallel, tmp_path, words):
    with pytest.raises(SystemExit, match=REFUSED[words]) as caught:
        srp_run(tmp_path, parallel, task="prune_translation").train(*words.split(), *QUIET)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("*.pt"))
