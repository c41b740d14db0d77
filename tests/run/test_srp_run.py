"""SRP runs: what is held, how connectivity falls, what is cut, and when."""

import pytest
import torch
from conftest import masks_of, same_tensors
from fairseq.logging import metrics
from srp_diary import QUIET, keeping_a_diary, owned, size, srp_run, widths

LONG = "--srp --compression-rate 0.3 --srp-pruning-updates 52 --max-update 55".split()
SHORT = "--srp --compression-rate 0.3 --srp-pruning-updates 5 --max-update 7".split()
STEPS = {
    "srp_adam": [*LONG, "--optimizer", "srp_adam", "--weight-decay", "0.1"],
    "sgd": [*SHORT, *"--optimizer sgd --momentum 0.9 --weight-decay 0.1 --lr 0.1".split()],
    "accumulated": [*SHORT, "--update-freq", "2", "--weight-decay", "0.1", "--clip-norm", "0.1"],
    "amp": [*SHORT, "--amp", "--optimizer", "srp_adam"],
    "shared": [*SHORT, "--optimizer", "srp_adam", "--weight-decay", "0.1"],
}


@pytest.fixture(scope="module", params=STEPS)
def story(request, parallel, tmp_path_factory):
    """The diary of a run that shrinks and cuts once, and its last checkpoint."""
    sharing = "shared" if request.param == "shared" else "separate"
    run = srp_run(tmp_path_factory.mktemp("story"), parallel, sharing)
    with keeping_a_diary() as diary:
        checkpoint = run.train(*STEPS[request.param], *QUIET)
    return diary, checkpoint


def weights_after(diary):
    """Weights after each update of the first round, the last before the cut."""
    return [page.after for page in diary.selected()[:-1]] + [diary.cuts[0].before]


def test_selected_units_are_held(story):
    """To the bit from selection to cut, the first step included; the rest of the same tensors trains."""
    diary, _ = story
    start, selected = diary.pages[0].before, diary.pages[0].selected
    after = weights_after(diary)
    assert len(after) in (5, 52)
    for name, value in start.items():
        held = owned(diary.cuts[0].table, name, value.shape, selected)
        for weights in after:
            assert torch.equal(weights[name][held], value[held]), name
        if not name.endswith("k_proj.bias"):  # which has no gradient
            for before, weights in zip([start, *after], after, strict=False):
                assert (weights[name] != before[name])[~held].float().mean() > 0.5, name
    assert sum(int(owned(diary.cuts[0].table, n, v.shape, selected).sum()) for n, v in start.items()) > 3000


def test_connectivity_falls_to_exactly_zero(story):
    """The last forward pass sees 0; what is not selected is 1 throughout."""
    diary, _ = story
    total = len(weights_after(diary))
    assert diary.values() == [torch.tensor(1 - t / total).item() for t in range(1, total + 1)]
    assert diary.values()[-1] == 0
    for page in diary.pages:
        for c in page.connectivity:
            for name, vector in c.items():
                rest = vector[~page.selected[name]] if name in page.selected else vector
                assert (rest == 1).all()


def test_every_micro_batch_sees_it(story, request):
    forward_passes = {len(page.connectivity) for page in story[0].selected()}
    assert forward_passes == ({2} if "accumulated" in request.node.name else {1})


def cut_by_hand(value, owners, keep):
    for axis, vector, *_ in owners:
        value = value.movedim(axis, 0)[keep[vector]].movedim(0, axis)
    return value


def test_cut(story):
    """Exactly the selected units are cut; weights, buffers and moments of the others stay to the bit."""
    diary, checkpoint = story
    (cut,) = diary.cuts
    for name, keep in cut.keep.items():
        assert torch.equal(~keep, diary.pages[0].selected.get(name, torch.zeros_like(keep)))
    assert cut.before.keys() == cut.after.keys() and cut.moments_before.keys() == cut.moments_after.keys()
    for name, value in cut.before.items():
        assert torch.equal(cut.after[name], cut_by_hand(value, cut.table.get(name, ()), cut.keep)), name
    for name, moments in cut.moments_before.items():
        for key, value in moments.items():
            after = cut.moments_after[name][key]
            if torch.is_tensor(value) and value.dim():
                assert after.shape == cut.after[name].shape
                assert torch.equal(after, cut_by_hand(value, cut.table[name], cut.keep)), (name, key)
                assert value.any() or name.endswith("k_proj.bias")
            else:
                assert after == value == len(diary.selected())  # the step counter
    assert cut.moments_before.keys() == diary.pages[0].before.keys()


def test_training_goes_on(story):
    """With the cut widths, to the end of the run, and connectivity 1."""
    diary, checkpoint = story
    total = len(weights_after(diary))
    assert checkpoint["optimizer_history"][-1]["num_updates"] == len(diary.pages) == total + len(diary.pages[total:])
    assert len(diary.pages) > total + 1
    assert widths(checkpoint) == {name: int(keep.sum()) for name, keep in diary.cuts[0].keep.items()}
    for page in diary.pages[total:]:
        assert not page.selected
        assert all(
            (page.after[name] != value).any() for name, value in page.before.items() if "k_proj.bias" not in name
        )
    assert all((c == 1).all() for name, c in checkpoint["model"].items() if name in diary.cuts[0].keep)


def test_within_the_rate(story):
    diary, checkpoint = story
    before = sum(value.numel() for value in diary.pages[0].before.values())
    assert 0.29 < size(checkpoint) / before <= 0.3


BY_TIME = {  # options: values of the updates of the round, and the last update's number
    "sg": ("--decreasing sg --srp-pruning-updates 4 --max-update 5", [1e-5**0.25, 1e-5**0.5, 1e-5**0.75, 0]),
    "sa": ("--decreasing sa --pruning-period 2 --update-freq 2,5 --max-epoch 3", [1 - t / 9 for t in range(1, 10)]),
    "ea": ("--decreasing ea --pruning-period 3 --update-freq 5 --max-epoch 4", [2 / 3] * 3 + [1 / 3] * 3 + [0] * 3),
    "eg": ("--decreasing eg --pruning-period 2 --update-freq 5 --max-epoch 3", [1e-5**0.5] * 3 + [0] * 3),
    "once": ("--decreasing ea --pruning-period 1 --update-freq 5 --skip-remainder-batch --max-epoch 2", [0] * 2),
    "late": ("--pruning-period 1 --warming-up 1 --update-freq 5 --max-epoch 3", [2 / 3, 1 / 3, 0]),
}


@pytest.mark.parametrize("name", BY_TIME)
def test_schedules(name, parallel, tmp_path):
    """Pure functions of the update or epoch; epochs end where fairseq's end, also accumulated and ragged."""
    words, expected = BY_TIME[name]
    with keeping_a_diary() as diary:
        srp_run(tmp_path, parallel).train("--srp", "--max-update", "0", *words.split(), *QUIET)
    assert diary.values() == [torch.tensor(value).item() for value in expected]
    (cut,) = diary.cuts
    assert cut.updates == diary.selected()[-1].updates == diary.selected()[0].updates + len(expected) - 1
    begun = diary.selected()[0]
    assert (begun.epochs, begun.updates) == ((1, 3) if name == "late" else (0, 0))
    if "--pruning-period" in words:  # the cut ends an epoch
        assert diary.pages[cut.updates + 1].epochs == diary.pages[cut.updates].epochs + 1


def test_two_rounds(parallel, tmp_path):
    """Each with its own scores and its own cut; the last ends at the widths of a single one."""
    words = "--srp --compression-rate 0.3 --pruning-period 1 --update-freq 5 --max-update 0".split() + QUIET
    with keeping_a_diary() as diary:
        two = srp_run(tmp_path / "two", parallel).train(*words, "--pruning-iter", "2", "--max-epoch", "3")
    one = srp_run(tmp_path / "one", parallel).train(*words, "--max-epoch", "2")
    assert diary.values() == [torch.tensor(v).item() for v in (2 / 3, 1 / 3, 0)] * 2
    assert [cut.updates for cut in diary.cuts] == [2, 5]
    lengths = [len(diary.cuts[i].keep["encoder.embedding_c"]) for i in (0, 1)] + [widths(two)["encoder.embedding_c"]]
    assert lengths[0] == 16 and lengths[0] > lengths[1] > lengths[2]
    assert 0.4 < lengths[1] / lengths[0] and 0.4 < lengths[2] / lengths[1]  # in like steps
    for name, length in widths(two).items():
        assert length == widths(one)[name] or name.endswith("fc_c")
    assert size(two) <= 0.3 * sum(value.numel() for value in diary.pages[0].before.values())
    second = diary.pages[3]
    for name, value in second.before.items():
        held = owned(diary.cuts[1].table, name, value.shape, second.selected)
        assert torch.equal(value[held], diary.cuts[1].before[name][held])
        assert not held.any() or not torch.equal(value, diary.cuts[1].before[name])


@pytest.mark.parametrize("sharing", ["separate", "shared"])
def test_stages(sharing, parallel, tmp_path, monkeypatch):
    """Stage 1 cuts residual widths, stage 2 the rest; together the widths of stage 0. The log has the sizes."""
    words = "--srp --compression-rate 0.3 --srp-pruning-updates 2 --max-update 3".split() + QUIET
    with keeping_a_diary() as diary:
        single = srp_run(tmp_path / "0", parallel, sharing).train(*words)
    before = sum(value.numel() for value in diary.pages[0].before.values())
    first = srp_run(tmp_path / "1", parallel, sharing).train(*words, "--pruning-stage", "1")
    start = ["--pretrained-model", tmp_path / "1" / "checkpoint_last.pt"]
    log_scalar, logged = metrics.log_scalar, []
    monkeypatch.setattr(metrics, "log_scalar", lambda *a, **k: logged.append(a) or log_scalar(*a, **k))
    with keeping_a_diary() as diary:
        second = srp_run(tmp_path / "2", parallel, sharing).train(*words, "--pruning-stage", "2", *start)
    assert [a[1] for a in logged if a[0] == "params"] == [size(first), size(second), size(second)]
    residual = {name for name in widths(first) if name.endswith("embedding_c")}
    whole = {name: 32 if name.endswith("fc_c") else 16 for name in widths(first)}
    assert {name for name, length in widths(first).items() if length < whole[name]} == residual
    assert not residual & diary.pages[0].selected.keys()
    ffn = [sum(n for name, n in widths(c).items() if name.endswith("fc_c")) for c in (single, second)]
    assert ffn[0] == ffn[1]
    assert {k: v for k, v in widths(second).items() if "fc_c" not in k} == {
        k: v for k, v in widths(single).items() if "fc_c" not in k
    }
    assert 0.28 * before < min(size(single), size(second)) <= max(size(single), size(second)) <= 0.3 * before


@pytest.mark.parametrize("warming_up", [0, 1])
def test_cut_at_once(warming_up, parallel, tmp_path):
    """A rate without --srp: before the first forward pass that follows, moments included."""
    words = f"--compression-rate 0.3 --update-freq 5 --max-update 5 --warming-up {warming_up}".split()
    with keeping_a_diary() as diary:
        checkpoint = srp_run(tmp_path, parallel).train(*words, *QUIET)
    (cut,) = diary.cuts
    assert cut.updates == 3 * warming_up
    assert not diary.selected() and bool(cut.moments_before) == bool(warming_up)
    assert widths(checkpoint) == {name: int(keep.sum()) for name, keep in cut.keep.items()}
    assert widths(checkpoint)["encoder.embedding_c"] < 16
    for c in diary.pages[cut.updates].connectivity:
        assert all(len(c[name]) == keep.sum() and (c[name] == 1).all() for name, keep in cut.keep.items())
    for name, moments in cut.moments_after.items():
        assert moments["exp_avg"].shape == cut.after[name].shape and moments["step"] == 3


def test_the_second_stage_needs_the_first(parallel, tmp_path):
    """By itself it would leave two thirds of the parameters instead of 0.3. After it, see above."""
    words = "--srp --compression-rate 0.3 --srp-pruning-updates 2 --max-update 3 --pruning-stage 2".split()
    message = "--pruning-stage 2: --compression-rate 0.3 needs the residual widths cut before, .*embedding_c has its 16"
    with pytest.raises(SystemExit, match=message):
        srp_run(tmp_path, parallel).train(*words, *QUIET)


def test_removed_weights_stay_removed(parallel, tmp_path):
    """Masks of single weights are cut along with the units."""
    run, words = srp_run(tmp_path / "masked", parallel), "--prune-method random --prune-target 0.3".split()
    before = masks_of(run.train(*words, "--max-update", "2", *QUIET))
    start = ["--pretrained-model", run.folder / "checkpoint_last.pt"]
    words = "--compression-rate 0.5 --srp --srp-pruning-updates 2 --max-update 5".split()
    with keeping_a_diary() as diary:
        after = srp_run(tmp_path / "cut", parallel).train(*words, *start, *QUIET)
    (cut,) = diary.cuts
    masks = {name: cut_by_hand(keep, cut.table.get(name, ()), cut.keep) for name, keep in before.items()}
    assert same_tensors(masks_of(after), masks)
    assert not any(after["model"][name][~keep].any() for name, keep in masks.items())
