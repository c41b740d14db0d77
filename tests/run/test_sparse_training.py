"""Dynamic sparse training: as sparse at every update, at other places, and resumed to the same bits."""

import pytest
from conftest import TINY, masks_of, same_tensors, words_of

OPTIONS = words_of(
    "--prune-target 0.6erk --prune-freeze 7up --prune-every 2up --prune-drop 0.5 --save-interval-updates 1"
)
ARCHS = {
    "transformer": f"--arch transformer --share-all-embeddings {TINY}",
    "lstm": """--arch lstm --encoder-embed-dim 8 --decoder-embed-dim 8 --encoder-hidden-size 12 --decoder-hidden-size 12
        --decoder-out-embed-dim 8""",
}


def train(run, method, *more):
    return run.train("--prune-method", method, *OPTIONS, *more)


def removed_at(run, update):
    return {name: int((~keep).sum()) for name, keep in masks_of(run.checkpoint(f"checkpoint_1_{update}.pt")).items()}


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("method", ["set", "rigl"])
def test_as_sparse_at_every_update_and_elsewhere(new_run, method, arch):
    run = new_run(arch=ARCHS[arch])
    end = train(run, method)
    first = removed_at(run, 1)
    weights = sum(v.numel() for v in {id(v): v for n, v in end["model"].items() if v.dim() > 1}.values())
    assert sum(first.values()) == round(0.6 * _prunable(end))
    assert weights >= _prunable(end)
    for update in range(2, 9):
        assert removed_at(run, update) == first
    masks = [masks_of(run.checkpoint(f"checkpoint_1_{update}.pt")) for update in (1, 3, 8)]
    came_back = sum(int((masks[1][name] & ~keep).sum()) for name, keep in masks[0].items())
    assert came_back > 0  # the promise of these methods
    state = run.checkpoint("checkpoint_1_8.pt")
    assert all(not state["model"][name][~keep].any() for name, keep in masks[2].items())
    assert same_tensors(masks_of(run.checkpoint("checkpoint_1_7.pt")), masks[2])  # frozen


def _prunable(checkpoint):
    unique = {v.data_ptr(): v for v in checkpoint["model"].values() if v.dim() > 1}
    return sum(v.numel() for v in unique.values())


@pytest.mark.parametrize("method", ["set", "rigl"])
def test_resumed_to_the_same_bits(new_run, method):
    whole, part = new_run("whole"), new_run("part")
    end = train(whole, method)
    part.begin_at(whole.folder / "checkpoint_1_3.pt")
    resumed = train(part, method)
    assert same_tensors(resumed["model"], end["model"]) and same_tensors(masks_of(resumed), masks_of(end))
    assert same_tensors(resumed["last_optimizer_state"], end["last_optimizer_state"])


def test_what_grows_begins_at_zero_without_moments(new_run):
    run = new_run()
    train(run, "set", "--lr", "0")
    for update in (3, 5):
        state = run.checkpoint(f"checkpoint_1_{update}.pt")
        before, after = masks_of(run.checkpoint(f"checkpoint_1_{update - 1}.pt")), masks_of(state)
        grown = {name: keep & ~before[name] for name, keep in after.items()}
        assert any(new.any() for new in grown.values())
        assert all(not state["model"][name][new].any() for name, new in grown.items())


def test_gradient_grows_where_the_loss_falls(new_run):
    """RigL and SET begin alike and move elsewhere."""
    runs = {method: new_run(method) for method in ("set", "rigl")}
    for method, run in runs.items():
        train(run, method)
    at = {u: [masks_of(run.checkpoint(f"checkpoint_1_{u}.pt")) for run in runs.values()] for u in (2, 3)}
    assert same_tensors(*at[2]) and not same_tensors(*at[3])


@pytest.mark.parametrize("options, message", [
    ("--prune-drop 0", "--prune-drop 0.0: give a share above 0 and at most 1, e.g. 0.3"),
    ("--prune-units row", "--prune-units row: are not for --prune-method set; e.g. --prune-units weight"),
    ("--prune-scope global", "--prune-target 0.6erk: gives every layer its own fraction; leave out --prune-scope"),
    ("--prune-target 1erk", "--prune-target 1erk: write 0.7erk for 70 % removed, by the layers' shapes"),
])  # fmt: skip
def test_bad_input(new_run, options, message):
    with pytest.raises(SystemExit) as caught:
        train(new_run(), "set", *words_of(options))
    assert message in str(caught.value.code)
