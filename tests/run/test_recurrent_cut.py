"""Recurrent models lose hidden units in the run: they train on, resume, are finetuned and generate, all narrower."""

import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors

from fairseq_prune.checkpoint.config import Config
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.compact_checkpoint import compact_checkpoint

GROWTH = "--update-reg-interval 1 --stabilize-reg-interval 1 --reg-granularity-prune 10 --reg-upper-limit 25".split()
HALF = ["--prune-units", "hidden", "--prune-target", "0.5", "--save-interval-updates", "2"]
HALF += ["--max-update", "6", "--dropout", "0"]  # which would draw other numbers for other widths
LSTM = """--arch lstm --encoder-embed-dim 8 --encoder-hidden-size 8 --encoder-bidirectional --encoder-layers 2
    --decoder-embed-dim 8 --decoder-hidden-size 8 --decoder-layers 2 --decoder-out-embed-dim 8"""
STREAM = "--arch rnn_lm_tiny --tokens-per-sample 7 --batch-size 4 --max-tokens 1000"
RUNS = {  # task, architecture, what prunes, shapes of some tensors afterwards
    "rnn_lm": (
        "prune_stateful_language_modeling", STREAM, ["--prune-method", "greg1", *GROWTH],
        {"decoder.lstm.weight_hh_l1": (32, 8), "decoder.output_projection.weight": (46, 8)},
    ),
    "lstm": (
        "prune_translation", LSTM, "--prune-method magnitude --prune-scope layer --prune-start 3up".split(),
        {"encoder.lstm.weight_ih_l1_reverse": (16, 8), "decoder.encoder_cell_proj.weight": (4, 8),
         "decoder.attention.output_proj.weight": (4, 12), "decoder.layers.0.weight_ih": (16, 12)},
    ),
    "rnnsearch": (
        "prune_translation", "--arch rnnsearch_tiny",
        "--prune-method random --prune-scope layer --prune-start 3up".split(),
        {"encoder.rnn.weight_hh_l1_reverse": (12, 4), "decoder.layers.1.weight_hh": (24, 8),
         "decoder.attention.v.weight": (1, 8)},
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=RUNS)
def case(request, module_run, monolingual):
    task, arch, words, shapes = RUNS[request.param]

    def make(name):
        data = monolingual if "language" in task else None
        return module_run(f"{request.param}-{name}", data=data, task=task, arch=arch)

    cut = make("cut")
    cut.train(*words, *HALF)
    return make, cut, words, shapes


@pytest.fixture(scope="module")
def masked(case):
    """The same run, but that averages keep its shapes as they were."""
    make, _, words, _ = case
    run = make("masked")
    run.train(*words, *HALF, "--store-ema")
    return run


def moments(checkpoint):
    """Adam's mean of each parameter, by its name."""
    state = checkpoint["last_optimizer_state"]["state"]
    return dict(zip(checkpoint["model"], (state[number]["exp_avg"] for number in sorted(state)), strict=True))


def test_a_cut_run_is_a_masked_one_but_narrower(case, masked):
    """Weights and moments are those of a run that only masks, without what left; nothing else is masked."""
    _, cut, _, shapes = case
    wide, narrow = masked.checkpoint(), cut.checkpoint()
    assert {name: tuple(narrow["model"][name].shape) for name in shapes} == shapes
    assert masks_of(wide) and not masks_of(narrow)
    for name, value in narrow["model"].items():
        keep = masks_of(wide).get(name, torch.ones_like(wide["model"][name], dtype=torch.bool))
        assert torch.allclose(wide["model"][name][keep], value.flatten(), atol=1e-4), name
        assert torch.allclose(moments(wide)[name][keep], moments(narrow)[name].flatten(), atol=1e-5), name


def hidden_sizes(checkpoint):
    return {option: size for option, size in Config(checkpoint).model.items() if option.endswith("hidden_size")}


def test_compact_cuts_the_masked_one(case, masked, tmp_path):
    """To the same widths, which the config tells, as that of the run that cut; outputs are compared on the way."""
    _, cut, _, shapes = case
    told = compact_checkpoint(str(masked.folder / "checkpoint_last.pt"), str(tmp_path / "compact.pt"), batches=2)
    compact, narrow = load_checkpoint(tmp_path / "compact.pt"), cut.checkpoint()
    assert {name: tuple(compact["model"][name].shape) for name in shapes} == shapes
    assert not masks_of(compact) and told["removed"]["hidden"] > 8 and told["difference"] < 1e-6
    assert told["after"]["macs"] < 0.7 * told["before"]["macs"]
    halves = {option: size // 2 for option, size in hidden_sizes(masked.checkpoint()).items()}
    assert hidden_sizes(compact) == hidden_sizes(narrow) == halves and halves
    with pytest.raises(ValueError, match="nothing to cut: no hidden unit"):
        compact_checkpoint(str(tmp_path / "compact.pt"), str(tmp_path / "again.pt"))


@pytest.mark.parametrize("stop", [2, 4], ids=["before the cut", "after the cut"])
def test_interrupted_is_uninterrupted(case, stop):
    make, cut, words, _ = case
    resumed = make(f"resumed{stop}")
    resumed.begin_at(cut.folder / f"checkpoint_1_{stop}.pt")
    name, shape = next(iter(case[3].items()))
    assert (resumed.checkpoint()["model"][name].shape == shape) == (stop == 4)
    again, whole = resumed.train(*words, *HALF), cut.checkpoint()
    assert same_tensors(dict(again["model"]), dict(whole["model"]))
    assert same_tensors(again["last_optimizer_state"]["state"], whole["last_optimizer_state"]["state"])


def test_finetuned_and_pruned_again(case):
    make, cut, words, shapes = case
    tuned = make("tuned").train("--finetune-from-model", cut.folder / "checkpoint_last.pt", "--max-update", "2")
    assert {name: tuple(tuned["model"][name].shape) for name in shapes} == shapes
    again = make("again").train(*words, *HALF, "--finetune-from-model", cut.folder / "checkpoint_last.pt")
    name = next(iter(shapes))
    assert again["model"][name].shape[1] == shapes[name][1] // 2


def test_evaluated(case, capsys):
    make, cut, _, _ = case
    words = "--user-dir", USER_DIR, "--path", cut.folder / "checkpoint_last.pt", "--cpu", "--task", cut.task
    if "language" in cut.task:
        run_fairseq("eval_lm", cut.data, *words, "--batch-size", "4", "--tokens-per-sample", "7")
    else:
        run_fairseq("generate", cut.data, *words, "--beam", "3", "--max-len-b", "8")
        assert capsys.readouterr().out.count("\nH-") >= 7


def test_embeddings_are_cut(module_run, tmp_path):
    """By their columns; what reads them follows, and so do the options of the architecture."""
    words = "--prune-method magnitude --prune-units embedding --prune-scope layer --prune-target".split()
    data = {"task": "prune_translation", "arch": LSTM}
    cut = module_run("embedding", **data).train(*words, "encoder*=0.5,decoder*=0.25", "--dropout", "0")
    wide = module_run("wide", **data)
    wide.train(*words, "encoder*=0.5,decoder*=0.25", "--dropout", "0", "--store-ema")
    told = compact_checkpoint(str(wide.folder / "checkpoint_last.pt"), str(tmp_path / "out.pt"), batches=2)
    assert told["removed"] == {"hidden": 0, "embedding": 6}
    for checkpoint in (cut, load_checkpoint(tmp_path / "out.pt")):
        model, options = checkpoint["model"], Config(checkpoint).model
        assert (options["encoder_embed_dim"], options["decoder_embed_dim"], options["decoder_hidden_size"]) == (4, 6, 8)
        assert model["encoder.embed_tokens.weight"].shape[1] == model["encoder.lstm.weight_ih_l0_reverse"].shape[1] == 4
        assert model["decoder.layers.0.weight_ih"].shape == (32, 6 + 8)


@pytest.mark.parametrize("method", ["magnitude", "snap", "group_lasso"])
def test_layers_that_lose_unlike_numbers(module_run, monolingual, method):
    """One ranking of all layers: as many of each are cut, the rest of what left stays masked; half is gone in all."""
    run = module_run(method, data=monolingual, task="prune_stateful_language_modeling", arch=STREAM)
    end = ["--prune-end", "4up"] if method == "group_lasso" else []
    words = "--prune-units hidden --prune-scope global --prune-target 0.5".split()
    checkpoint = run.train("--prune-method", method, *words, *end)
    recurrent = [f"decoder.lstm.weight_hh_l{layer}" for layer in (0, 1)]
    one, other = (checkpoint["model"][name].shape[1] for name in recurrent)
    masks = masks_of(checkpoint)
    left = [masks[name].any(0) if name in masks else torch.ones(one) for name in recurrent]
    assert one == other < 16 and sum(int(units.sum()) for units in left) == 16
