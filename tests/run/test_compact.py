"""`fairseq-prune compact`: the same output from smaller tensors, in everything that fairseq does with them."""

import re
from dataclasses import replace

import pytest
import torch
from commands import refused, reported
from conftest import TINY, USER_DIR, Run, masks_of, run_fairseq, same_tensors
from validation import validated_loss

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.compact import compact as cut_checkpoint
from fairseq_prune.deploy.compactors import COMPACTORS

LM = """--arch transformer_lm --decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32
    --decoder-attention-heads 2 --tokens-per-sample 32"""
ROBERTA = """--arch roberta_base --encoder-layers 1 --encoder-embed-dim 16 --encoder-ffn-embed-dim 32
    --encoder-attention-heads 2 --tokens-per-sample 32 --mask-prob 0.5"""
LAYERWISE = "--prune-method magnitude --prune-scope layer --prune-target 0.28"
ROWS = f"{LAYERWISE} --prune-units row --prune-skip *embed*,*attn*,*fc2*"
COLUMNS = f"{LAYERWISE} --prune-units column --prune-skip *embed*,*attn*,*fc1*,*proj*"
SHARED, TIED = "--share-all-embeddings", "--share-decoder-input-output-embed"


@pytest.fixture(scope="module")
def trained(parallel, monolingual, tmp_path_factory):
    """Train each model once: trained("name", task, arch, *words)."""
    runs = {}

    def get(name, task, arch, *words):
        if name not in runs:
            data = parallel if "translation" in task else monolingual
            runs[name] = Run(tmp_path_factory.mktemp(name), data, task, arch)
            runs[name].train("--max-update", "4", *words)
        return runs[name]

    return get


@pytest.fixture
def rows(trained):
    """A stock Transformer, 9 of whose 32 neurons in each block have lost their input."""
    return trained("rows", "prune_translation", f"--arch transformer {SHARED} {TINY}", *ROWS.split())


@pytest.fixture
def stock(trained):
    """A dense Transformer of a stock task."""
    return trained("stock", "translation", f"--arch transformer_iwslt_de_en {TIED} {TINY}")


def edited(run, path, edit):
    """Save a checkpoint of a run after ``edit(state dict)``; returns the path."""
    checkpoint = run.checkpoint()
    edit(checkpoint["model"])
    torch.save(checkpoint, path)
    return path


def compact(capsys, *words):
    return reported(capsys, "compact", *words)


def hypotheses(capsys, data, path, task="prune_translation"):
    capsys.readouterr()
    run_fairseq(
        "generate", data, "--user-dir", USER_DIR, "--task", task, "--path", path, "--cpu", "--beam", "2",
        "--max-len-b", "5", "--max-tokens", "200", "--num-workers", "0",
    )  # fmt: skip
    found = re.findall(r"^(H-\d+)\t\S+\t(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(found) == 8
    return found


def shapes(checkpoint):
    return {name: tuple(value.shape) for name, value in checkpoint["model"].items()}


def test_neurons_are_cut_from_a_stock_transformer(rows, capsys, tmp_path):
    before, out = rows.folder / "checkpoint_last.pt", tmp_path / "new" / "compact.pt"
    report = compact(capsys, before, out)
    assert report["removed"] == {"residual": 0, "head": 0, "qk": 0, "vo": 0, "neuron": 18, "layer": 0}
    assert report["before"]["params"] - report["after"]["params"] == 18 * (16 + 1 + 16)
    assert report["before"]["macs"] - report["after"]["macs"] == 18 * 25 * 32
    assert report["after"]["bytes"] == out.stat().st_size
    assert report["difference"] < 1e-6 and report["batches"] == 4
    assert hypotheses(capsys, rows.data, out) == hypotheses(capsys, rows.data, before)

    cut, dense = load_checkpoint(out), rows.checkpoint()
    assert shapes(cut)["encoder.layers.0.fc1.weight"] == (23, 16)
    assert masks_of(dense) and not masks_of(cut)  # what is left is whole
    assert cut["last_optimizer_state"] is None
    assert "PruneTranslationTask" in dense["extra_state"]
    assert set(cut["extra_state"]) == set(dense["extra_state"]) - {"PruneTranslationTask", "trainer"}
    embeddings = {cut["model"][f"{s}.weight"].data_ptr() for s in ("encoder.embed_tokens", "decoder.output_projection")}
    assert len(embeddings) == 1
    main(["inspect", str(out)])
    assert "23x16" in capsys.readouterr().out


def test_finetune_resume_and_compact_again(rows, capsys, tmp_path, new_run):
    """Small tensors, and masks of what is zero inside them, go on through training."""
    out = tmp_path / "compact.pt"
    compact(capsys, rows.folder / "checkpoint_last.pt", out)
    run = new_run("after", arch=f"--arch transformer {SHARED} {TINY}")
    more = ["--prune-method", "magnitude", "--prune-target", "0.5", "--finetune-from-model", out]
    tuned = run.train(*more, "--max-update", "4")
    assert shapes(tuned) == shapes(load_checkpoint(out))
    assert not same_tensors(tuned["model"], load_checkpoint(out)["model"])
    assert masks_of(tuned)["encoder.layers.0.fc1.weight"].shape == (23, 16)
    resumed = run.train(*more, "--max-update", "6")
    assert shapes(resumed) == shapes(tuned)
    assert same_tensors(masks_of(resumed), masks_of(tuned))
    assert resumed["optimizer_history"][-1]["num_updates"] == 6
    again = edited(run, tmp_path / "again.pt", fc2_columns(0, 5))
    compact(capsys, again, tmp_path / "compact-again.pt")
    cut = load_checkpoint(tmp_path / "compact-again.pt")
    assert all(masks_of(cut)[name].shape == cut["model"][name].shape for name in masks_of(cut))
    assert len(masks_of(cut)["encoder.layers.0.fc1.weight"]) <= 21


def fc2_columns(*units):
    def edit(state):
        state["encoder.layers.0.fc2.weight"][:, list(units)] = 0

    return edit


def test_averages_of_a_cut_model(rows, capsys, tmp_path, new_run):
    out = tmp_path / "compact.pt"
    compact(capsys, rows.folder / "checkpoint_last.pt", out)
    run = new_run("after", arch=f"--arch transformer {SHARED} {TINY}")
    tuned = run.train("--finetune-from-model", out, "--store-ema", "--ema-fp32", "--max-update", "2")
    assert tuned["extra_state"]["ema"]["encoder.layers.0.fc1.weight"].shape == (23, 16)
    assert "ema" not in load_checkpoint(out)["extra_state"]
    compact(capsys, edited(run, tmp_path / "again.pt", fc2_columns(0)), tmp_path / "again-out.pt")
    assert not any("ema" in key for key in load_checkpoint(tmp_path / "again-out.pt")["extra_state"])


def test_language_model(trained, capsys, caplog, tmp_path):
    run = trained("lm", "prune_language_modeling", LM, *COLUMNS.split())
    before, out = run.folder / "checkpoint_last.pt", tmp_path / "compact.pt"
    assert compact(capsys, before, out)["removed"]["neuron"] == 9
    perplexities = []
    for path in (before, out):
        caplog.clear()
        run_fairseq(
            "eval_lm", run.data, "--user-dir", USER_DIR, "--task", run.task, "--tokens-per-sample", "32", "--cpu",
            "--path", path, "--max-tokens", "200", "--num-workers", "0",
        )  # fmt: skip
        perplexities.append(re.search(r"Perplexity: ([\d.]+)", caplog.text)[1])
    assert perplexities[0] == perplexities[1]


def test_masked_language_model_of_a_stock_task(trained, capsys, tmp_path):
    """GELU; fairseq-validate rebuilds the task that the file names, which has to know of widths."""
    run = trained("roberta", "masked_lm", ROBERTA)

    def kill(state):
        state["encoder.sentence_encoder.layers.0.fc1.weight"][:7] = 0

    before, out = edited(run, tmp_path / "dead.pt", kill), tmp_path / "compact.pt"
    report = compact(capsys, before, out)
    assert report["removed"]["neuron"] == 7 and report["task"] == "prune_masked_lm"
    assert validated_loss(run.data, run.task, before) == validated_loss(run.data, run.task, out)


HEADS = {"encoder.layers.0.self": 2, "decoder.layers.0.encoder": 2, "decoder.layers.0.self": 1}


@pytest.mark.parametrize("share", [SHARED, TIED])
def test_attention_of_a_stock_model(stock, rows, share, capsys, tmp_path, new_run):
    run = {SHARED: rows, TIED: stock}[share]

    def kill(state):
        for part in ("encoder.layers.0.self_attn", "decoder.layers.0.encoder_attn"):
            state[f"{part}.k_proj.weight"][[1, 2, 9, 15]] = 0
            state[f"{part}.v_proj.weight"][[0, 8, 9]] = 0
        state["decoder.layers.0.self_attn.out_proj.weight"].zero_()
        state["decoder.layers.0.self_attn.k_proj.weight"].zero_()
        state["decoder.layers.0.fc1.weight"].zero_()

    before, out = edited(run, tmp_path / "dead.pt", kill), tmp_path / "compact.pt"
    report = compact(capsys, before, out)
    neurons = 31 + 9 if share == SHARED else 31
    units = {"residual": 0, "head": 1, "qk": 4 + 4 + 7, "vo": 2 + 2 + 7, "neuron": neurons, "layer": 0}
    assert report["removed"] == units
    assert report["task"] == "prune_translation"
    cut = load_checkpoint(out)
    assert shapes(cut)["decoder.layers.0.self_attn.q_proj.weight"] == (1, 16)  # of a single head
    heads = {name: len(value) for name, value in cut["model"].items() if name.endswith(".heads")}
    assert heads == {f"{name}_attn.heads": count for name, count in HEADS.items()}
    assert hypotheses(capsys, run.data, out) == hypotheses(capsys, run.data, before)
    assert hypotheses(capsys, run.data, f"{before}:{out}") == hypotheses(capsys, run.data, before)  # an ensemble
    arch = "transformer" if share == SHARED else "transformer_iwslt_de_en"
    tuned = new_run("after", arch=f"--arch {arch} {share} {TINY}").train(
        "--finetune-from-model", out, "--max-update", "2"
    )
    assert shapes(tuned) == shapes(cut)
    ours, models = ({name: value.dtype for name, value in c["model"].items()} for c in (cut, tuned))
    assert ours == models


def test_the_given_checkpoint_is_left_as_it_is(rows):
    checkpoint, copy = rows.checkpoint(), rows.checkpoint()
    checkpoint["cfg"]["task"]["_name"] = copy["cfg"]["task"]["_name"] = "translation"
    for state in (checkpoint["model"], copy["model"]):
        state["encoder.layers.0.self_attn.k_proj.weight"].zero_()
    cut, _ = cut_checkpoint(checkpoint)
    assert (cut["cfg"]["model"].arch, cut["cfg"]["task"]["_name"]) == ("transformer", "prune_translation")
    assert checkpoint["cfg"] == copy["cfg"] and same_tensors(checkpoint["model"], copy["model"])
    assert checkpoint["last_optimizer_state"] and same_tensors(masks_of(checkpoint), masks_of(copy))


def test_without_dead_attention_a_stock_model_stays_stock(stock, capsys, tmp_path):
    out = tmp_path / "compact.pt"
    report = compact(capsys, edited(stock, tmp_path / "dead.pt", fc2_columns(3)), out)
    assert (report["arch"], report["task"]) == ("transformer_iwslt_de_en", "prune_translation")
    assert hypotheses(capsys, stock.data, out)


PRE_NORM = f"--arch transformer --encoder-normalize-before {SHARED} {TINY}"
MASKED = {  # task, architecture, a block of which a head is masked, by hand or by a run
    "pre-norm": ("prune_translation", PRE_NORM, "encoder.layers.0.self_attn"),
    "lm": ("language_modeling", LM, "decoder.layers.0.self_attn"),
    "roberta": ("prune_masked_lm", ROBERTA, "encoder.sentence_encoder.layers.0.self_attn"),
}


@pytest.mark.parametrize("case", MASKED)
def test_masked_heads_are_cut(trained, capsys, tmp_path, case):
    """With what they put out: the bias of a value that has lost its weights is folded into what follows."""
    task, arch, block = MASKED[case]
    run = trained(f"heads-{case}", task, arch)

    def kill(state):
        for part in "qkv":
            state[f"{block}.{part}_proj.weight"][8:] = 0
        state[f"{block}.v_proj.bias"][8:] = 0.3

    before, out = edited(run, tmp_path / "dead.pt", kill), tmp_path / "compact.pt"
    report = compact(capsys, before, out)
    assert report["removed"] == {"residual": 0, "head": 1, "qk": 0, "vo": 0, "neuron": 0, "layer": 0}
    assert report["before"]["params"] - report["after"]["params"] == 4 * 8 * 16 + 3 * 8
    assert report["before"]["macs"] - report["after"]["macs"] > 4 * 8 * 16 * 25  # projections, scores and contexts
    cut = load_checkpoint(out)["model"]
    assert cut[f"{block}.out_proj.weight"].shape == (16, 8) and cut[f"{block}.heads"].tolist() == [0]
    assert sum(name.endswith(".heads") for name in cut) == 1


@pytest.mark.parametrize("share", [SHARED, TIED])
def test_connectivity(trained, capsys, tmp_path, new_run, share):
    run = trained(f"srp{share}", "prune_translation", f"--arch srp_transformer {share} {TINY}")
    dead = {
        "encoder.embedding_c": [2, 3, 11], "decoder.embedding_c": [0, 15], "encoder.layers.0.fc_c": [5],
        "decoder.layers.0.encoder_attn_qk_c": [1, 9], "encoder.layers.0.self_attn_vo_c": [0, 3, 12, 14, 15],
    }  # fmt: skip

    def kill(state):
        for name, units in dead.items():
            if name in state:
                state[name][units] = 0

    before, out = edited(run, tmp_path / "dead.pt", kill), tmp_path / "compact.pt"
    report = compact(capsys, before, out)
    width = 3 if share == SHARED else 5
    assert report["removed"] == {"residual": width, "head": 0, "qk": 2, "vo": 4, "neuron": 1, "layer": 0}
    assert hypotheses(capsys, run.data, out) == hypotheses(capsys, run.data, before)
    cut = load_checkpoint(out)
    assert shapes(cut)["encoder.pos_emb_mask"] == (13,)
    arch = f"--arch srp_transformer {share} {TINY}"
    assert shapes(new_run("after", arch=arch).train("--finetune-from-model", out)) == shapes(cut)


OFF = r"differ by \d\.\d+e-\d+ of the largest one, more than 1e-06; nothing"
WRONG = {1e-3: OFF, float("nan"): "no finite numbers"}


@pytest.mark.parametrize("error", WRONG)
def test_a_wrong_cut_is_refused_and_leaves_no_file(rows, tmp_path, monkeypatch, error):
    """The negative control of the comparison: one weight of the cut model is a little off."""
    right = COMPACTORS["transformer"]

    def wrong(checkpoint):
        cut, removed = right.compact(checkpoint)
        cut["model"]["encoder.layers.0.fc2.weight"][0, 0] += error
        return cut, removed

    monkeypatch.setitem(COMPACTORS, "transformer", replace(right, compact=wrong))
    with pytest.raises(SystemExit, match=WRONG[error]):
        main(["compact", str(rows.folder / "checkpoint_last.pt"), str(tmp_path / "compact.pt")])
    assert not list(tmp_path.iterdir())


def test_mistakes_end_in_one_line(rows, stock, tmp_path):
    path, out = rows.folder / "checkpoint_last.pt", tmp_path / "compact.pt"
    assert "is CHECKPOINT itself" in refused("compact", path, path, "--overwrite")
    assert "no such file" in refused("compact", tmp_path / "missing.pt", out)
    assert re.search("--data .*nowhere: no such folder", refused("compact", path, out, "--data", tmp_path / "nowhere"))
    assert "no train.SRC-TGT files" in refused("compact", path, out, "--data", tmp_path)
    assert "--batches 0" in refused("compact", path, out, "--batches", "0")
    assert "nothing to cut" in refused("compact", stock.folder / "checkpoint_last.pt", out)
    out.write_text("mine")
    assert "exists; give another name or --overwrite" in refused("compact", path, out)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]


def test_a_full_disk(rows, tmp_path, small_disk):
    out = tmp_path / "compact.pt"
    out.write_text("old")
    small_disk(10_000)
    line = refused("compact", rows.folder / "checkpoint_last.pt", out, "--overwrite")
    assert line == f"OUT {out}: File too large; free some space, or give another place, e.g. checkpoints/compact.pt"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("place", ["file/compact.pt", "folder"])
def test_no_place_for_a_file(rows, tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    line = refused("compact", rows.folder / "checkpoint_last.pt", tmp_path / place, "--overwrite")
    assert line.startswith(f"OUT {tmp_path / place}: ") and "; give a place that can be written, e.g. " in line
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_the_table(rows, capsys, tmp_path):
    out = tmp_path / "compact.pt"
    out.write_text("old")
    main(["compact", str(rows.folder / "checkpoint_last.pt"), str(out), "--batches", "1", "--overwrite"])
    text = capsys.readouterr().out
    assert re.search(r"parameters +\d,\d{3} +\d,\d{3} +0\.\d{3}\n", text)
    assert "0 residual width, 0 heads, 0 query/key dims, 0 value dims, 18 neurons, 0 layers" in text
    assert load_checkpoint(out)["model"]
