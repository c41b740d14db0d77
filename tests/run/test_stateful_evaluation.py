"""Language models that read one unbroken stream: what evaluation counts, by the task and by fairseq's commands."""

import math

import pytest
import torch
from conftest import USER_DIR, Run, run_fairseq
from fairseq import checkpoint_utils
from fairseq_cli import eval_lm as eval_lm_command

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.engine.carried import Carried
from fairseq_prune.tasks import column_dataset
from fairseq_prune.tasks.stateful_language_modeling import PruneStatefulLanguageModelingTask as Task

TASK = "prune_stateful_language_modeling"
ACCURACY = "--criterion label_smoothed_cross_entropy --label-smoothing 0 --report-accuracy".split()
COLUMNS = "--batch-size 4 --batch-size-valid 3 --tokens-per-sample 11".split()


def totals(log):
    """Loss, hits and targets of the logging outputs of one split."""
    return [sum(float(output[key]) for output in log) for key in ("nll_loss", "n_correct", "ntokens")]


def load(path, **overrides):
    """Model, config and task of a checkpoint, the validation split loaded."""
    (model,), cfg, task = checkpoint_utils.load_model_ensemble_and_task([str(path)], arg_overrides=overrides)
    task.load_dataset("valid")
    return model, cfg, task


def measure(path, length, columns=3, **overrides):
    """Walk the validation split as fairseq-validate does; returns its logging outputs."""
    model, cfg, task = load(path, tokens_per_sample=length, **overrides)
    criterion = task.build_criterion(cfg.criterion)
    batches = task.get_batch_iterator(task.dataset("valid"), max_sentences=columns).next_epoch_itr(shuffle=True)
    return [task.valid_step(sample, model, criterion)[2] for sample in batches]


@pytest.fixture(scope="module")
def trained(monolingual, tmp_path_factory):
    """The last checkpoint of a short training."""
    run = Run(tmp_path_factory.mktemp("trained"), monolingual, TASK, "--arch rnn_lm_tiny")
    run.train(*COLUMNS, *ACCURACY, "--max-update", "30", "--disable-validation")
    return run.folder / "checkpoint_last.pt"


def test_validation_does_not_depend_on_the_chunks(trained):
    logs = [measure(trained, length, columns=2) for length in (1, 7, 35, 1000)]
    assert len(logs[0]) > len(logs[1]) > len(logs[2]) > len(logs[3]) == 1
    loss, hits, count = totals(logs[3])
    assert 0 < hits < count
    for log in logs[:3]:
        assert totals(log) == [pytest.approx(loss, rel=1e-6), hits, count]


def test_carrying_differs_from_resetting(trained, monkeypatch):
    carrying = totals(measure(trained, 7))
    monkeypatch.setattr(Carried, "leave", lambda self, state: None)
    resetting = totals(measure(trained, 7))
    assert resetting[2] == carrying[2] and abs(resetting[0] - carrying[0]) > 1e-3 * carrying[0]


def test_the_order_of_columns_does_not_matter(trained, monkeypatch):
    """The sum of the split is that of its columns."""
    straight, lay_out = totals(measure(trained, 7)), column_dataset.lay_out
    monkeypatch.setattr(column_dataset, "lay_out", lambda *args: lay_out(*args)[torch.tensor([2, 0, 1])])
    shuffled = totals(measure(trained, 7))
    assert shuffled[1:] == straight[1:] and shuffled[0] == pytest.approx(straight[0], rel=1e-6)


def test_every_token_is_a_target_once(trained):
    """All of the split but its first token, whatever the columns; the reference drops some."""
    _, _, task = load(trained)
    tokens = task.dataset("valid").tokens
    assert len(tokens) > 60 and (tokens == task.dictionary.eos()).sum() == 16  # lines with their ends
    for columns in (1, 3, 7):
        assert totals(measure(trained, 7, columns))[2] == len(tokens) - 1
    rows = len(tokens) // 7
    assert totals(measure(trained, 7, 7, prune_drop_remainder=True))[2] == (rows - 1) * 7


def test_fairseq_validate(trained, monolingual, monkeypatch):
    """The command gives the same, with options of its own for columns and chunks."""
    logs = []
    monkeypatch.setattr(Task, "reduce_metrics", lambda task, log, criterion: logs.append(log))
    for length in ("5", "35"):
        run_fairseq(
            "validate", monolingual, "--user-dir", USER_DIR, "--task", TASK, "--path", trained, "--cpu",
            "--batch-size", "3", "--valid-subset", "valid", "--tokens-per-sample", length, "--num-workers", "0",
        )  # fmt: skip
    expected = totals(measure(trained, 1000))
    for log in logs:
        assert totals(log) == pytest.approx(expected, rel=1e-6)
    assert len(logs[0]) > len(logs[1])


@pytest.mark.parametrize("length", ["5", "1000"])
def test_fairseq_eval_lm(trained, monolingual, monkeypatch, length):
    """The command calls models without a task; the state is carried all the same."""
    found, eval_lm = [], eval_lm_command.eval_lm
    monkeypatch.setattr(eval_lm_command, "eval_lm", lambda **words: found.append(eval_lm(**words)) or found[-1])
    command = [
        "eval_lm", monolingual, "--user-dir", USER_DIR, "--task", TASK, "--path", trained, "--cpu", "--batch-size", "3",
        "--gen-subset", "valid", "--tokens-per-sample", length, "--num-workers", "0",
    ]  # fmt: skip
    run_fairseq(*command)
    loss, _, count = totals(measure(trained, 1000))
    assert found[0]["loss"].item() == pytest.approx(loss / count / math.log(2), rel=1e-5)
    with pytest.raises(SystemExit, match="--context-window 3: the state carries all of the context"):
        run_fairseq(*command, "--context-window", "3")


def test_only_the_output_bias(trained, tmp_path):
    """All tensors zero but the output bias: everything about the validation is known beforehand."""
    checkpoint, path = load_checkpoint(trained), tmp_path / "bias.pt"
    for value in checkpoint["model"].values():
        value.zero_()
    bias = checkpoint["model"]["decoder.output_projection.bias"]
    bias += torch.linspace(-1, 1, len(bias))
    bias[4] = 2
    torch.save(checkpoint, path)
    targets = load(path)[2].dataset("valid").tokens[1:]
    loss, hits, count = totals(measure(path, 7))
    assert hits == (targets == 6).sum() > 0 and count == len(targets)
    assert loss == pytest.approx(-bias.double().log_softmax(0)[targets - 2].sum().item(), rel=1e-6)


def test_ranks_are_refused(trained):
    _, _, task = load(trained)
    with pytest.raises(SystemExit, match="--distributed-world-size 2: .* give --distributed-world-size 1"):
        task.get_batch_iterator(task.dataset("valid"), max_sentences=3, num_shards=2)
