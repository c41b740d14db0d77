"""`fairseq-prune compact` where attention has lost dimensions or heads, and where connectivity says what is cut."""

import pytest
from conftest import TINY

from compacting.conftest import LM, ROBERTA, SHARED, TIED, compact, edited, fc2_columns, hypotheses, shapes
from fairseq_prune.compat import load_checkpoint

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
