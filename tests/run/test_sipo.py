"""fairseq-prune sipo on a tiny language model: search, rounds, records, resume."""

import json
import shutil

import pytest
import torch
from commands import reported
from conftest import Run, masks_of, words_of

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.evaluate.load import Workbench

TRAIN = words_of("""--task prune_stateful_language_modeling --arch rnn_lm_tiny --criterion cross_entropy --optimizer sgd
    --lr 2 --clip-norm 0.25 --batch-size 4 --batch-size-valid 2 --tokens-per-sample 7 --cpu --num-workers 0
    --log-format simple --log-interval 1000""")
QUICK = words_of("--population 3 --generations 6 --max-drop 0.02 --seed 3")


@pytest.fixture(scope="module")
def dense(counting, tmp_path_factory):
    """Path of a language model that has learnt to count."""
    folder = tmp_path_factory.mktemp("dense")
    run = Run(folder, counting, "prune_stateful_language_modeling", "--arch rnn_lm_tiny")
    run.train(*TRAIN[4:], "--optimizer", "adam", "--lr", "0.02", "--clip-norm", "0", "--max-update", 300)
    return folder / "checkpoint_last.pt"


def sipo(data, checkpoint, folder, *words, train=()):
    main(["sipo", str(data), "--checkpoint", str(checkpoint), "--save-dir", str(folder), *map(str, words), *train])
    return json.loads((folder / "summary.json").read_text())


def records(folder, number=0):
    return [json.loads(line) for line in (folder / f"search-{number}.jsonl").read_text().splitlines()]


class TestOnce:
    @pytest.fixture(scope="class")
    @staticmethod
    def found(counting, dense, tmp_path_factory):
        folder = tmp_path_factory.mktemp("once")
        return folder, sipo(counting, dense, folder, "--group", "stage", *QUICK)

    def test_the_limit_holds(self, found):
        _, summary = found
        (entry,) = summary["rounds"]
        assert entry["pruned"]["valid"]["accuracy"] >= summary["original"]["valid"]["accuracy"] - 0.02
        assert entry["search"]["removed"] > 0.1 and summary["best"] == 0

    def test_every_candidate_is_a_record(self, found):
        header, *rest = records(found[0])
        assert header["groups"].keys() == {"embedding", "ih", "hh", "decoder"}
        assert sorted((r["generation"], r["individual"]) for r in rest if r["generation"] >= 0) == [
            (g, i) for g in range(6) for i in range(3)
        ]
        assert all(r["feasible"] == (r["fitness"] < 0) for r in rest)

    def test_counts_agree(self, found):
        folder, summary = found
        search = summary["rounds"][0]["search"]
        model = load_checkpoint(folder / "best.pt")["model"]
        zeros = sum(int((t == 0).sum()) for name, t in model.items() if name.startswith("decoder.") and t.dim())
        masked = sum(int((~keep).sum()) for keep in masks_of({"model": model}).values())
        assert search["pruned"] == masked <= zeros
        assert search["removed"] == search["pruned"] / search["total"]

    def test_the_best_candidate_was_evaluated_to_the_end(self, found):
        folder, summary = found
        rates = summary["rounds"][0]["search"]["rates"]
        (record,) = [r for r in records(folder)[1:] if r["rates"] == rates]
        assert record["complete"] and record["accuracy"] == summary["rounds"][0]["pruned"]["valid"]["accuracy"]

    def test_a_killed_search_ends_the_same(self, found, counting, dense, tmp_path):
        folder, summary = found
        lines = (folder / "search-0.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "search-0.jsonl").write_text("".join(lines[:9]) + lines[9][:20])  # killed while writing
        again = sipo(counting, dense, tmp_path, "--group", "stage", *QUICK)
        assert again["rounds"] == summary["rounds"]
        assert len(records(tmp_path)) == len(lines)

    def test_another_seed_is_another_search(self, found, counting, dense, tmp_path):
        words = [*QUICK[:-1], "4"]
        assert sipo(counting, dense, tmp_path, "--group", "stage", *words)["rounds"] != found[1]["rounds"]

    def test_a_folder_of_another_search_is_refused(self, found, counting, dense, tmp_path):
        shutil.copy(found[0] / "search-0.jsonl", tmp_path)
        with pytest.raises(SystemExit, match="was begun with another seed"):
            sipo(counting, dense, tmp_path, "--group", "stage", *QUICK[:-1], "9")

    def test_workers_find_the_same(self, found, counting, dense, tmp_path):
        again = sipo(counting, dense, tmp_path, "--group", "stage", *QUICK, "--workers", 2)
        assert again["rounds"][0]["search"] == found[1]["rounds"][0]["search"]


def test_grid_writes_all_rates(counting, dense, tmp_path):
    summary = sipo(counting, dense, tmp_path, "--group", "layer", "--max-drop", 0.02)
    rest = records(tmp_path)[1:]
    assert len(rest) == 99
    rates = summary["rounds"][0]["search"]["rates"]
    violated = [r["rates"][0] for r in rest if not r["feasible"]]
    assert len(set(rates)) == 1 and rates[0] == pytest.approx(min(violated) - 0.01)
    (chosen,) = [r for r in rest if r["rates"] == rates]
    assert chosen["perplexity"] == pytest.approx(summary["rounds"][0]["pruned"]["valid"]["perplexity"])
    assert all(r["perplexity"] > 1 for r in rest)


def test_perplexity_may_be_limited_too(counting, dense, tmp_path):
    """The same grid ends earlier, where perplexity has risen by 2 %."""
    words = ["--group", "all", "--max-drop", 0.3, "--max-ppl-increase", 0.02]
    summary = sipo(counting, dense, tmp_path, *words)
    (entry,) = summary["rounds"]
    ceiling = 1.02 * summary["original"]["valid"]["perplexity"]
    assert entry["pruned"]["valid"]["perplexity"] <= ceiling
    assert "rise of perplexity: 2 %" in (tmp_path / "record.txt").read_text()
    rate, rest = entry["search"]["rates"][0], records(tmp_path)[1:]
    following = next(r for r in rest if r["rates"][0] > rate + 0.005)
    assert following["perplexity"] > ceiling and not following["feasible"]
    assert following["accuracy"] >= summary["original"]["valid"]["accuracy"] - 0.3


def test_warm_starts_from_the_best_common_threshold(counting, dense, tmp_path):
    summary = sipo(counting, dense, tmp_path, "--group", "stage", "--search", "warm", *QUICK)
    rest = records(tmp_path)[1:]
    common = [r for r in rest if r["generation"] == -2]
    (start,) = [r for r in rest if r["generation"] == -1]
    assert len(common) == 7 and start["removed"] == max(r["removed"] for r in common if r["feasible"])
    assert start["removed"] > 0.1 and any(not r["feasible"] for r in common)
    assert len({round(rate, 6) for rate in start["rates"]}) == 4  # no common rate
    assert summary["rounds"][0]["search"]["removed"] >= start["removed"]


def test_rounds(counting, dense, tmp_path, trains_here):
    """Prune, retrain, test recovery; what is kept, and that retraining keeps what is removed removed."""
    words = [*QUICK, "--group", "stage", "--rounds", 2, "--epochs", 2, "--recover-metric", "both", "--slack", 0.5]
    words.append("--dense-control")
    summary = sipo(counting, dense, tmp_path, *words, train=["--train", *TRAIN])
    removed = [entry["search"]["removed"] for entry in summary["rounds"]]
    assert summary["stop"] in ("max_iter", "no_gain") and removed == sorted(set(removed))
    assert summary["dense"]["epochs"] == 2 * len(removed)
    pruned, retrained = (load_checkpoint(tmp_path / f"{name}-0.pt")["model"] for name in ("pruned", "retrained"))
    for name, keep in masks_of({"model": pruned}).items():
        assert not retrained[name][~keep].any()
        assert not torch.equal(retrained[name], pruned[name])
    assert summary["rounds"][0]["retrained"]["recovered"]
    before = (tmp_path / "summary.json").read_text()
    sipo(counting, dense, tmp_path, *words, train=["--train", *TRAIN])  # nothing is done twice
    assert (tmp_path / "summary.json").read_text() == before


def test_a_model_that_does_not_recover_ends_the_run(counting, dense, tmp_path, trains_here):
    words = [*QUICK, "--group", "all", "--search", "ncs", "--rounds", 3, "--epochs", 1]
    summary = sipo(counting, dense, tmp_path, *words, train=["--train", *TRAIN, "--lr", "1e-9"])
    assert (summary["stop"], summary["best"], len(summary["rounds"])) == ("not_recovered", None, 1)


class TestBadInput:
    @staticmethod
    def refused(message, data, dense, folder, *words):
        with pytest.raises(SystemExit, match=message):
            sipo(data, dense, folder, *words)

    def test_options(self, counting, dense, tmp_path):
        for words, message in (
            (["--group", "stages"], "unknown grouping 'stages'"),
            (["--group", "a=*nothing*;b=*"], "matches no"),
            (["--group", "a=*embed*;b=*"], "in 2 stages"),
            (["--max-drop", "2"], r"--max-drop 2.0: give a value in \[0, 0.3\]"),
            (["--max-ppl-increase", "-1"], "--max-ppl-increase -1.0: give a value"),
            (["--search", "ncz"], "unknown search 'ncz'; did you mean 'ncs'"),
            (["--rounds", "2"], "--arch: options of fairseq-train are needed"),
            (
                ["--rounds", "2", "--train", *TRAIN, "--lrr", "1"],
                "--train: unrecognized arguments: --lrr 1; fairseq-train --help",
            ),
        ):
            self.refused(message, counting, dense, tmp_path, *words)
        assert not list(tmp_path.iterdir())

    def test_a_folder_with_the_dense_model(self, counting, tmp_path):
        """Which may be called as one of the results."""
        line = f"--save-dir {tmp_path}: --checkpoint {tmp_path}/best.pt is in it, and would be written over; give "
        self.refused(line, counting, tmp_path / "best.pt", tmp_path)

    def test_no_data(self, dense, tmp_path):
        self.refused("DATA nowhere: no such folder", "nowhere", dense, tmp_path)

    def test_another_vocabulary(self, counting, dense, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(counting, data)
        with (data / "dict.txt").open("a") as file:
            file.write("another 1\n" * 1)
        self.refused("the vocabulary of the data is not the checkpoint's", data, dense, tmp_path / "out")


def test_hits_are_those_of_fairseqs_own_forward_pass(counting, dense):
    """The fast evaluation against full logits of one long chunk."""
    bench = Workbench(str(dense), str(counting))
    model = bench.model(str(dense))
    evaluator = bench.evaluator(model, "valid")
    score = evaluator.measure()
    columns = bench.task.dataset("valid").in_columns(2, 10**6, bench.task.dictionary.pad(), False).columns
    with torch.no_grad():
        logits = model(columns[:, :-1])[0]
    target = columns[:, 1:]
    counted = target != bench.task.dictionary.pad()
    assert score.hits == int(((logits.argmax(-1) == target) & counted).sum())
    assert evaluator.hits(score.targets).hits == score.hits
    nll = torch.nn.functional.cross_entropy(logits[counted], target[counted], reduction="sum")
    assert score.nll == pytest.approx(float(nll), rel=1e-5)


def test_inspect_shows_original_and_pruned_side_by_side(counting, dense, tmp_path, capsys):
    summary = sipo(counting, dense, tmp_path, "--group", "stage", *QUICK)
    shown = reported(capsys, "inspect", tmp_path / "best.pt", "--data", counting, "--original", dense)
    search, pruned = summary["rounds"][0]["search"], summary["rounds"][0]["pruned"]
    assert shown["pruned"]["params"] == shown["original"]["params"] == search["total"]
    assert shown["pruned"]["pruned"] == search["pruned"] > shown["original"]["pruned"]
    assert shown["pruned"]["valid_accuracy"] == pytest.approx(100 * pruned["valid"]["accuracy"])
    assert shown["pruned"]["test_perplexity"] == pytest.approx(pruned["test"]["perplexity"])
    main(["inspect", str(dense), "--data", str(counting)])
    assert "parameters in total" in capsys.readouterr().out
