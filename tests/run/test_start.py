"""Which file a run starts from, as fairseq itself decides it, with ``--checkpoint-suffix`` too."""

from itertools import product
from types import SimpleNamespace

import pytest
from fairseq import checkpoint_utils

from fairseq_prune.checkpoint.start import CONTINUED, FINETUNED, PRETRAINED, RESTORED, Start, find_start


def config(folder, **given):
    values = {
        "save_dir": str(folder), "restore_file": "checkpoint_last.pt", "checkpoint_suffix": "", "continue_once": None,
        "finetune_from_model": None, "reset_optimizer": False, "reset_lr_scheduler": False, "reset_meters": False,
        "reset_dataloader": False, "optimizer_overrides": "{}",
    }  # fmt: skip
    return SimpleNamespace(**values | given)


class Trainer:
    """Notes which file fairseq asks for, and whether it is to go on from it."""

    def __init__(self, suffix):
        self.checkpoint_suffix, self.path, self.resumes = suffix, None, None

    def load_checkpoint(self, path, reset_optimizer, *args, **kwargs):
        self.path, self.resumes = path, not reset_optimizer

    def get_train_iterator(self, *args, **kwargs):
        return SimpleNamespace(epoch=1)

    def lr_step(self, *args):
        pass


@pytest.mark.parametrize("suffix, restore, last, continues, finetunes", [
    case for case in product(("", "_s"), (False, True), (False, True), (False, True), (False, True))
    if not (case[1] and case[4])
])  # fmt: skip
def test_as_fairseq_decides(tmp_path, suffix, restore, last, continues, finetunes):
    for name in ("other", "weights", *(["checkpoint_last" + suffix] if last else [])):
        (tmp_path / f"{name}.pt").touch()
    (tmp_path / ("checkpoint_last_s.pt" if not suffix else "checkpoint_last.pt")).touch()  # control: another run's
    names = {"restore_file": restore, "continue_once": continues, "finetune_from_model": finetunes}
    files = {name: str(tmp_path / "other.pt") for name, given in names.items() if given}
    cfg = config(tmp_path, checkpoint_suffix=suffix, **files)
    trainer, start = Trainer(suffix), find_start(cfg)
    checkpoint_utils.load_checkpoint(cfg, trainer)
    first = not (restore or last or continues or finetunes)
    assert first or (start.path, start.resumes) == (trainer.path, trainer.resumes)
    assert not first or (start == Start() and not start.resumes)
    assert start.counts_on == (restore or continues)
    assert start.origin == (str(tmp_path / f"other{suffix if restore else ''}.pt") if files else None)


def test_a_pretrained_model_counts_at_the_first_launch_only(tmp_path):
    first = find_start(config(tmp_path, checkpoint_suffix="_s"), pretrained="a.pt")
    assert first == Start("a.pt", PRETRAINED) and not first.resumes and not first.is_there
    (tmp_path / "checkpoint_last.pt").touch()  # of another run
    assert find_start(config(tmp_path, checkpoint_suffix="_s"), pretrained="a.pt") == first
    (tmp_path / "checkpoint_last_s.pt").touch()
    assert find_start(config(tmp_path, checkpoint_suffix="_s"), pretrained="a.pt").option is None


@pytest.mark.parametrize("option, field", [
    (RESTORED, "restore_file"), (CONTINUED, "continue_once"), (FINETUNED, "finetune_from_model"),
])  # fmt: skip
def test_files_that_are_gone_and_options_that_exclude_each_other(tmp_path, option, field):
    gone = find_start(config(tmp_path, **{field: "gone.pt"}))
    with pytest.raises(ValueError, match=f"{option} gone.pt: no such file; give one that is, e.g. SAVE_DIR/"):
        gone.check()
    find_start(config(tmp_path)).check()
    for more in ({"restore_file": "a.pt"}, {"finetune_from_model": "a.pt"}):
        both = {field: "gone.pt", **more}
        if set(both) == {"restore_file", "finetune_from_model"}:
            with pytest.raises(ValueError, match="--restore-file and --finetune-from-model: .* give one"):
                find_start(config(tmp_path, **both))


def test_a_run_with_a_suffix_goes_on_from_its_own_file(new_run):
    """Its options for the first launch may be gone then; those of a run without a suffix are another's."""
    words = "--prune-method magnitude --prune-target 0.5 --disable-validation --checkpoint-suffix _s".split()
    run = new_run()
    run.train(*words[:-2], "--max-update", "2")
    weights = run.folder / "checkpoint_last.pt"
    with pytest.raises(SystemExit, match="--finetune-from-model gone.pt: no such file"):
        run.train(*words, "--max-update", "2", "--finetune-from-model", "gone.pt")
    before = run.train(*words, "--max-update", "2", "--finetune-from-model", weights)
    run.train(*words, "--max-update", "4", "--finetune-from-model", "gone.pt")
    after = run.checkpoint("checkpoint_last_s.pt")
    assert before["optimizer_history"][-1]["num_updates"] == 2  # the first run's
    assert after["optimizer_history"][-1]["num_updates"] == 4
