"""What of fairseq uses names that numpy 2 has dropped runs."""

import pytest
from conftest import TINY, USER_DIR, run_fairseq

LM = "--arch transformer_lm --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 --decoder-attention-heads 2"


@pytest.fixture(scope="module")
def language_model(module_run, monolingual):
    def train(mode):
        arch = f"{LM} --decoder-layers 1 --tokens-per-sample 12 --sample-break-mode {mode}"
        run = module_run(f"lm-{mode}", data=monolingual, task="prune_language_modeling", arch=arch)
        return run, run.train("--max-update", "2")

    return train


@pytest.mark.parametrize("mode", ["none", "complete", "complete_doc"])
def test_language_models_train(mode, language_model):
    assert language_model(mode)[1]["optimizer_history"][-1]["num_updates"] == 2


def test_a_language_model_of_lines_trains_and_generates(language_model, monolingual, capsys):
    run, state = language_model("eos")
    assert state["optimizer_history"][-1]["num_updates"] == 2
    run_fairseq(
        "generate", monolingual, "--user-dir", USER_DIR, "--task", "prune_language_modeling",
        "--path", run.folder / "checkpoint_last.pt", "--cpu", "--sample-break-mode", "eos", "--beam", "2",
        "--batch-size", "8", "--max-len-b", "12", "--results-path", run.folder,
    )  # fmt: skip
    lines = (run.folder / "generate-test.txt").read_text().splitlines()
    assert sum(line.startswith("H-") for line in lines) == 8  # a hypothesis for each test line


def test_bucketed_translation_trains(new_run):
    state = new_run(arch=f"--arch transformer {TINY}").train("--num-batch-buckets", "3", "--max-update", "2")
    assert state["optimizer_history"][-1]["num_updates"] == 2


def test_dynamic_crf_trains(new_run):
    """Its layer compares with an infinity under numpy's old name."""
    run = new_run(
        "crf", task="translation_lev", arch=f"--arch nacrf_transformer --share-all-embeddings --apply-bert-init {TINY}"
    )
    words = "--criterion nat_loss --noise full_mask --pred-length-offset --length-loss-factor 0.1"
    state = run.train(*words.split(), "--word-ins-loss-factor", "0.5", "--crf-beam-approx", "8", "--max-update", "2")
    assert state["optimizer_history"][-1]["num_updates"] == 2
