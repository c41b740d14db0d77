"""fp16 and bfloat16 with fp32 masters, and bfloat16 by autocast (``--amp --prune-amp-bf16``)."""

import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors, words_of

pytestmark = pytest.mark.filterwarnings("ignore:.*CUDA.*", "ignore:.*GradScaler.*")

AUTOCAST = "--amp --prune-amp-bf16"
TIMES = "--prune-target 0.5 --prune-start 0up --prune-end 6up"
METHODS = {
    "magnitude": f"{TIMES} --prune-schedule cubic",
    "greg1": "--prune-units row --prune-target 0.5 --reg-fit --prune-end 7up --update-reg-interval 1",
    "movement": TIMES,
    "admm": "--prune-target 0.5 --prune-start 0up --prune-freeze 6up --prune-every 2up",
    "hoyer_square": f"{TIMES}",
    "gate_decorators": "--prune-units row --prune-target 0.5 --prune-end 6up --prune-every 1up --prune-tocks 1",
}


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    """What ``--fp16`` of fairseq asks of CUDA alone: a device for flat masters, and to move a number to."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: None)
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)


def rounded(tensor, dtype=torch.bfloat16):
    return tensor.to(dtype).float()


@pytest.mark.parametrize("precision", ["--fp16", "--bf16", AUTOCAST])
@pytest.mark.parametrize("method", METHODS)
def test_removed_and_resumed_to_the_same_bits(new_run, method, precision):
    options = [*words_of(precision), "--prune-method", method, *words_of(METHODS[method])]
    whole = new_run("whole")
    end = whole.train(*options, "--save-interval-updates", "4")
    weights = [v for v in end["model"].values() if v.dim() > 1]
    dtype = torch.half if precision == "--fp16" else torch.bfloat16
    assert all(torch.equal(v, rounded(v, dtype)) for v in weights) == (precision != AUTOCAST)
    masks = masks_of(end)
    assert sum(int((~keep).sum()) for keep in masks.values())
    assert all(not end["model"][name][~keep].any() for name, keep in masks.items())
    part = new_run("part")
    part.begin_at(whole.folder / "checkpoint_1_4.pt")
    resumed = part.train(*options)
    assert same_tensors(resumed["model"], end["model"])
    assert same_tensors(resumed["last_optimizer_state"], end["last_optimizer_state"])


def test_masters_know_more_than_the_weights(new_run):
    masters = new_run().train("--bf16", "--prune-method", "none")["last_optimizer_state"]["fp32_params"]
    assert {m.dtype for m in masters} == {torch.float32}
    assert not all(torch.equal(m, rounded(m)) for m in masters)


def test_autocast_is_another_forward_pass_of_fp32_weights(new_run):
    """On a CPU fairseq's own autocast does nothing; ours does."""
    plain, lowered = new_run("plain").train("--amp"), new_run("lowered").train(*words_of(AUTOCAST))
    assert not same_tensors(plain["model"], lowered["model"])
    difference = max(float((plain["model"][n] - v).abs().max()) for n, v in lowered["model"].items())
    assert difference < 0.1


def test_generates_from_it(new_run, capsys):
    run = new_run()
    run.train("--bf16", "--prune-method", "magnitude", "--prune-target", "0.5")
    run_fairseq(
        "generate", run.data, "--user-dir", USER_DIR, "--task", run.task, "--path", run.folder / "checkpoint_last.pt",
        "--cpu", "--beam", "2", "--gen-subset", "valid",
    )  # fmt: skip
    assert capsys.readouterr().out.count("\nH-") > 1


@pytest.mark.parametrize(("options", "message"), [
    ("--amp --bf16", "--amp --bf16: are two kinds of mixed precision; give --bf16, or --amp --prune-amp-bf16"),
    ("--prune-amp-bf16", "--prune-amp-bf16: has no effect here; leave it out, or give e.g. --amp"),
    ("--bf16 --prune-method grasp --prune-target 0.5", "--bf16: not precise enough for the derivatives of "),
])  # fmt: skip
def test_bad_input(new_run, options, message):
    with pytest.raises(SystemExit) as caught:
        new_run().train(*words_of(options))
    assert message in str(caught.value.code)
