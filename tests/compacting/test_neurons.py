"""`fairseq-prune compact`: the same output from smaller tensors, in everything that fairseq does with them."""

import re

from conftest import TINY, USER_DIR, masks_of, run_fairseq, same_tensors
from validation import validated_loss

from compacting.conftest import COLUMNS, LM, ROBERTA, SHARED, compact, edited, fc2_columns, hypotheses, shapes
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.compact import compact as cut_checkpoint


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


def test_the_given_checkpoint_is_left_as_it_is(rows):
    checkpoint, copy = rows.checkpoint(), rows.checkpoint()
    checkpoint["cfg"]["task"]["_name"] = copy["cfg"]["task"]["_name"] = "translation"
    for state in (checkpoint["model"], copy["model"]):
        state["encoder.layers.0.self_attn.k_proj.weight"].zero_()
    cut, _ = cut_checkpoint(checkpoint)
    assert (cut["cfg"]["model"].arch, cut["cfg"]["task"]["_name"]) == ("transformer", "prune_translation")
    assert checkpoint["cfg"] == copy["cfg"] and same_tensors(checkpoint["model"], copy["model"])
    assert checkpoint["last_optimizer_state"] and same_tensors(masks_of(checkpoint), masks_of(copy))


def test_the_table(rows, capsys, tmp_path):
    out = tmp_path / "compact.pt"
    out.write_text("old")
    main(["compact", str(rows.folder / "checkpoint_last.pt"), str(out), "--batches", "1", "--overwrite"])
    text = capsys.readouterr().out
    assert re.search(r"parameters +\d,\d{3} +\d,\d{3} +0\.\d{3}\n", text)
    assert "0 residual width, 0 heads, 0 query/key dims, 0 value dims, 18 neurons, 0 layers" in text
    assert load_checkpoint(out)["model"]
