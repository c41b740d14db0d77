"""``--criterion srp`` in short runs of a tiny stock Transformer."""

import json
import shutil

import pytest
import torch
from conftest import TINY, USER_DIR, Run, masks_of, run_fairseq, same_tensors, words_of
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

import fairseq_prune.criterions.srp  # noqa: F401
from fairseq_prune.compat import load_checkpoint

SMOOTHED = words_of("--label-smoothing 0.1 --max-update 3 --log-interval 1")
STOCK = ["--criterion", "label_smoothed_cross_entropy", *SMOOTHED]
SRP = ["--criterion", "srp", *SMOOTHED]
ARCH = f"--arch transformer --share-all-embeddings {TINY}"
LOGGERS = "train_inner", "train", "valid"


@pytest.fixture(scope="session")
def dense(parallel, tmp_path_factory):
    """Path of a dense model that stock fairseq trained for 3 updates."""
    run = Run(tmp_path_factory.mktemp("dense"), parallel, "translation", ARCH)
    run.train(*STOCK, "--seed", "7", "--disable-validation")
    return run.folder / "checkpoint_last.pt"


@pytest.fixture
def teacher(dense, tmp_path):
    """A copy of it that a test may spoil."""
    return shutil.copy(dense, tmp_path / "teacher.pt")


@pytest.fixture
def train_logged(new_run, caplog):
    """Train; returns the last checkpoint and a function from logger and key to the logged values."""

    def train(name, *words):
        caplog.clear()
        with caplog.at_level("INFO"):
            checkpoint = new_run(name).train(*words, "--log-format", "json")
        lines = {name: [json.loads(r.message) for r in caplog.records if r.name == name] for name in LOGGERS}
        assert lines["train_inner"]
        return checkpoint, lambda name, key: [float(line[key]) for line in lines[name] if key in line]

    return train


def test_off_is_stock_to_the_bit(new_run, teacher):
    stock = new_run("stock", task="translation").train(*STOCK)
    weight_0 = words_of("--attn-kd 1 --fc-kd 1 --emb-kd 1 --prob-kd 0. --T 10 --use-kd --srp-teacher")
    for name, words in {"default": [], "weight-0": [*weight_0, teacher]}.items():
        ours = new_run(name).train(*SRP, *words)
        assert same_tensors(stock["model"], ours["model"])
        assert same_tensors(stock["last_optimizer_state"], ours["last_optimizer_state"])
        assert stock["extra_state"]["val_loss"] == ours["extra_state"]["val_loss"]
    on = new_run("on").train(*SRP, "--use-kd", "--srp-teacher", teacher)
    assert not same_tensors(stock["model"], on["model"])
    assert ours.keys() == on.keys() and stock["model"].keys() == on["model"].keys()  # the teacher is not saved


def test_logged_while_training_only(train_logged, teacher):
    """With no step taken, nothing that is logged differs from the stock criterion but ``kd_loss``."""
    still = ["--lr", "0", "--dropout", "0"]
    plain, plain_log = train_logged("stock", *STOCK, *still)
    ours, log = train_logged("kd", *SRP, *still, "--use-kd", "--srp-teacher", teacher)
    kd = log("train_inner", "kd_loss")
    assert len(kd) == 3 and min(kd) > 0.1
    assert len(log("train", "train_kd_loss")) == 1 and not log("valid", "valid_kd_loss")
    assert not plain_log("train_inner", "kd_loss") and not plain_log("train", "train_kd_loss")
    assert log("train_inner", "loss") == plain_log("train_inner", "loss")
    assert log("train_inner", "nll_loss") == plain_log("train_inner", "nll_loss")
    assert log("valid", "valid_loss") == plain_log("valid", "valid_loss")
    assert ours["extra_state"]["val_loss"] == plain["extra_state"]["val_loss"]


def parsed(words):
    """The criterion's config, as fairseq makes it of a command line."""
    parser = options.get_training_parser()
    args = options.parse_args_and_arch(parser, ["data", "--arch", "transformer", "--criterion", "srp", *words.split()])
    return dict(convert_namespace_to_omegaconf(args).criterion)


def test_spellings():
    """The seed's names and ours are the same options."""
    theirs = parsed("--use-kd --prob-kd 0.3 --T 5 --label-smoothing 0.1 --ignore-prefix-size 1 --report-accuracy")
    ours = parsed(
        "--use-kd --srp-kd-weight 0.3 --srp-kd-temperature 5 --label-smoothing 0.1 --ignore-prefix-size 1 "
        "--report-accuracy"
    )
    assert ours == theirs and (ours["prob_kd"], ours["T"], ours["use_kd"]) == (0.3, 5.0, True)
    default = parsed("")
    assert (default["prob_kd"], default["T"], default["use_kd"], default["srp_teacher"]) == (None, 10.0, False, None)


def test_the_model_a_run_starts_from_is_the_default_teacher(train_logged, teacher):
    start = ["--finetune-from-model", teacher, "--disable-validation"]
    default, log = train_logged("default", *SRP, *start, "--use-kd")
    named, named_log = train_logged("named", *SRP, *start, "--use-kd", "--srp-teacher", teacher)
    assert same_tensors(default["model"], named["model"])
    assert log("train_inner", "kd_loss") == named_log("train_inner", "kd_loss")
    kd = log("train_inner", "kd_loss")
    assert 0 < kd[0] < kd[-1]  # dropout alone at first


def test_prunes_the_student(new_run, teacher):
    """The teacher is built through the same task, whose pruner stays the student's."""
    words = words_of("--prune-method magnitude --prune-target 0.5 --use-kd --srp-teacher")
    checkpoint = new_run().train(*SRP, *words, teacher, "--disable-validation")
    assert masks_of(checkpoint)
    for name, keep in masks_of(checkpoint).items():
        assert not checkpoint["model"][name][~keep].any()


def test_resumes(new_run, teacher):
    kd = [*SRP, "--use-kd", "--srp-teacher", teacher, "--disable-validation"]
    whole = new_run("whole").train(*kd)
    run = new_run("stopped")
    run.train(*kd, "--max-update", "1")
    assert same_tensors(whole["model"], run.train(*kd)["model"])


def test_a_pruned_teacher(new_run):
    """Its masks are its own."""
    sparse = new_run("sparse")
    sparse.train(*words_of("--prune-method magnitude --prune-target 0.5 --max-update 2"))
    checkpoint = new_run().train(
        *SRP, "--use-kd", "--srp-teacher", sparse.folder / "checkpoint_last.pt", "--max-update", "1"
    )
    assert not masks_of(checkpoint)


def test_amp_and_gradient_accumulation(train_logged, teacher):
    kd = [*SRP, "--use-kd", "--srp-teacher", teacher, "--update-freq", "2", "--disable-validation"]
    plain, amp = (train_logged(name, *kd, *words)[1] for name, words in {"plain": [], "amp": ["--amp"]}.items())
    assert len(plain("train_inner", "kd_loss")) == 3
    assert plain("train_inner", "kd_loss") == pytest.approx(amp("train_inner", "kd_loss"), rel=0.1)


def test_validate_needs_no_teacher(new_run, teacher, parallel):
    run = new_run()
    run.train(*SRP, "--use-kd", "--srp-teacher", teacher)
    teacher.unlink()
    run_fairseq(
        "validate", parallel, "--user-dir", USER_DIR, "--task", "prune_translation", "--cpu", "--max-tokens", "100",
        "--path", run.folder / "checkpoint_last.pt",
    )  # fmt: skip


def test_warns_of_what_does_nothing(new_run, caplog):
    unread = words_of("--attn-kd 1 --emb-kd 0.5")
    new_run().train(*SRP, *unread, "--max-update", "1", "--disable-validation")
    messages = [r.message.split(",")[0] for r in caplog.records if "does nothing" in r.message]
    assert messages == ["--attn-kd 1.0 does nothing", "--emb-kd 0.5 does nothing"]


class Malicious:
    def __reduce__(self):
        return (print, ("executed",))


def write_malicious(path):
    torch.save({"model": Malicious()}, path)


def write_other_words(path):
    state = load_checkpoint(path)
    state["model"] = {name: value[:-3] if "embed_tokens" in name else value for name, value in state["model"].items()}
    torch.save(state, path)


def write_other_architecture(path):
    state = load_checkpoint(path)
    state["cfg"]["model"]._name = state["cfg"]["model"].arch = "unheard_of"
    torch.save(state, path)


def write_other_weights(path):
    state = load_checkpoint(path)
    del state["model"]["decoder.layers.0.fc1.weight"]
    torch.save(state, path)


MISTAKES = {
    "--use-kd": r"--use-kd: the run starts from new weights; add e.g. --finetune-from-model checkpoints/dense/.*file",
    "--use-kd --prune-teacher TEACHER": "--use-kd: --prune-teacher .* names a teacher, too; give one of them",
    "--srp-teacher TEACHER": r"--srp-teacher .*: has no effect here; leave it out, or give e.g. --use-kd",
    "--use-kd --srp-teacher missing.pt": r"--srp-teacher missing.pt: checkpoint missing.pt: no such file; give e.g. ",
    "--prob-kd -1": r"--srp-kd-weight -1.0 .--prob-kd.: give 0 or more, e.g. 0.7",
    "--T 0": r"--srp-kd-temperature 0.0 .--T.: give a number above 0, e.g. 10",
}
BAD_TEACHERS = {
    write_other_words: r"--srp-teacher .*: .*vocabulary of the data is not the checkpoint's; .*embed_tokens",
    write_other_architecture: "--srp-teacher .*: task PruneTranslationTask does not load it: .*",
    write_other_weights: "--srp-teacher .*: task PruneTranslationTask does not load it: .*fc1.weight",
    write_malicious: "--srp-teacher .*: checkpoint .*: not ",
}


def fails(run, message, *words):
    """One line, before the data is looked at: there is no split of that name."""
    with pytest.raises(SystemExit, match=message) as caught:
        run.train(*SRP, "--valid-subset", "no-such-split", *words)
    assert "\n" not in str(caught.value.code)


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes(new_run, teacher, words):
    fails(new_run(), MISTAKES[words], *words.replace("TEACHER", str(teacher)).split())


@pytest.mark.parametrize("write", BAD_TEACHERS)
def test_bad_teachers(new_run, teacher, write):
    write(teacher)
    fails(new_run(), BAD_TEACHERS[write], "--use-kd", "--srp-teacher", teacher)


def test_the_data_comes_later(new_run, teacher):
    """Control: without a mistake it is the data that is missing."""
    fails(new_run(), "DATA", "--use-kd", "--srp-teacher", teacher)
