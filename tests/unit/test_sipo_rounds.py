"""How rounds follow each other, on searches and retrainings that are told what to find."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch
import yaml

from fairseq_prune.drivers.sipo.candidates import Candidates
from fairseq_prune.drivers.sipo.job import SipoJob
from fairseq_prune.drivers.sipo.recovery import Recovery
from fairseq_prune.drivers.sipo.retraining import Retraining
from fairseq_prune.drivers.sipo.rounds import SipoRun
from fairseq_prune.drivers.sipo.searches import negatively_correlated
from fairseq_prune.drivers.sipo.settings import SipoSettings, with_presets
from fairseq_prune.drivers.sipo.training import check_words, write_recipe
from fairseq_prune.pruning.budget.given import parse_target
from fairseq_prune.pruning.search.objective import Limit


@dataclass(frozen=True)
class Job(SipoJob):
    """Of which all models measure alike."""

    test_accuracy: float = 0.5

    def measure(self, checkpoint, splits=("valid", "test")):
        return {"valid": {"accuracy": 0.5}, "test": {"accuracy": self.test_accuracy}}


def job_in(folder, translates=False, test_accuracy=0.5, **settings):
    settings = SipoSettings(**{"rounds": 10, **settings})
    return Job(None, "dense.pt", {}, settings, str(folder), "", translates, test_accuracy=test_accuracy)


class Scripted(SipoRun):
    """Removes what ``removed`` says, round by round (None: nothing feasible); recovers until round ``fails``."""

    def __init__(self, folder, removed, fails=99, **settings):
        self._job = job_in(folder, **settings)
        self.limit, self._removed, self._fails, self.searched = Limit(0.5, 0.01), removed, fails, []

    def _search(self, number, start, rates, sigma):
        self.searched.append((start.rpartition("/")[2], rates and rates[0], sigma))
        removed = self._removed[number]
        return {"rates": None} if removed is None else {"rates": [removed], "removed": removed}

    def retrain(self, number):
        return {"recovered": number < self._fails}


class TestRounds:
    def test_each_starts_from_the_last(self, tmp_path):
        run = Scripted(tmp_path, [0.5, 0.6, None])
        result = run.run()
        assert (result["stop"], result["best"], len(result["rounds"])) == ("no_feasible", 1, 2)
        assert [entry[:2] for entry in run.searched] == [
            ("dense.pt", None), ("retrained-0.pt", 0.5), ("retrained-1.pt", 0.6),
        ]  # fmt: skip

    @pytest.mark.parametrize("last", [0.6, 0.55])
    def test_no_gain(self, tmp_path, last):
        result = Scripted(tmp_path, [0.5, 0.6, last, 0.7]).run()
        assert (result["stop"], result["best"], len(result["rounds"])) == ("no_gain", 1, 2)

    def test_the_best_is_the_last_that_recovered(self, tmp_path):
        result = Scripted(tmp_path, [0.5, 0.6, 0.7, 0.8], fails=2).run()
        assert (result["stop"], result["best"], len(result["rounds"])) == ("not_recovered", 1, 3)

    def test_as_many_as_asked_for_and_then_more(self, tmp_path):
        result = Scripted(tmp_path, [0.5, 0.6], rounds=2).run()
        assert (result["stop"], result["best"]) == ("max_iter", 1)
        more = Scripted(tmp_path, [None, None, 0.7], rounds=3)  # what is in the folder is not searched again
        assert more.run()["rounds"][:2] == result["rounds"] and len(more.searched) == 1


class TestReference:
    @pytest.mark.parametrize(("accuracy", "sigma"), [(0.49, 0.005), (0.5, 0.5)])
    def test_as_much_as_before_is_searched_again_with_other_steps(self, tmp_path, accuracy, sigma):
        run = Scripted(tmp_path, [0.5, 0.5, 0.6, 0.4], reference=True, test_accuracy=accuracy)
        result = run.run()
        assert (result["stop"], result["best"]) == ("no_gain", 2)
        assert [entry[2] for entry in run.searched] == pytest.approx([0.05, 0.05, sigma, sigma])
        assert [entry[0] for entry in run.searched] == [
            "dense.pt",
            "retrained-0.pt",
            "retrained-0.pt",
            "retrained-2.pt",
        ]
        assert ["retrained" in entry for entry in result["rounds"]] == [True, False, True]

    @pytest.mark.parametrize("words", [{"search": "grid"}, {"translates": True}])
    def test_only_the_language_models_search_is(self, tmp_path, words):
        assert Scripted(tmp_path, [0.5, 0.5], reference=True, **words).run()["stop"] == "no_gain"

    @pytest.mark.parametrize(
        ("words", "epoch"),
        [
            ({}, 3), ({"reference": True}, 4), ({"reference": True, "search": "grid"}, 1),
            ({"reference": True, "translates": True}, 1),
        ],
    )  # fmt: skip
    def test_the_epoch_to_go_on_from(self, tmp_path, words, epoch):
        retraining = Retraining(job_in(tmp_path, **words), Recovery(0.5, 20.0))
        scores = [{"accuracy": a, "perplexity": 30.0} for a in (0.4, 0.5, 0.45, 0.6, 0.3)]
        assert retraining.select(scores) == epoch

    def test_a_translation_models_accuracy_is_cut_to_a_tenth_of_a_point(self, tmp_path):
        for accuracy, cut in ((0.559544, 0.559), (0.583489, 0.583), (0.559, 0.559)):
            run = Scripted(tmp_path, [], reference=True, translates=True)
            run.base = {"valid": {"accuracy": accuracy}}
            assert run._reference_accuracy() == cut
            language_model = Scripted(tmp_path, [], reference=True)
            language_model.base = run.base
            assert language_model._reference_accuracy() == accuracy


class FlatTable:
    """Two groups; the fraction removed is the mean rate."""

    groups = {"a": None, "b": None}


class Flat:
    """Candidates of which none is within the limit."""

    table = FlatTable()

    def __init__(self):
        self.rates = []

    def evaluate(self, generation, individual, rates, reference=None):
        self.rates.append(list(map(float, rates)))
        return {"rates": self.rates[-1], "removed": sum(rates) / 2, "fitness": 2.0, "feasible": False, "hits": [0]}

    def evaluate_all(self, generation, trials, references=None):
        return [self.evaluate(generation, i, trial) for i, trial in enumerate(trials)]


@pytest.mark.parametrize("reference", [False, True])
def test_nothing_feasible(reference):
    """The reference prunes at its start all the same; ours says so."""
    settings = SipoSettings(population=2, generations=3, start=0.6, high=0.5, reference=reference)
    candidates = Flat()
    found = negatively_correlated(candidates, settings, [0.6, 0.6], [0.1, 0.1], {})
    assert (found is None) if not reference else (found.tolist() == [0.5, 0.5])
    assert all(0.1 <= rate <= 0.5 for rates in candidates.rates for rate in rates)


def test_workers_leave_the_number_of_threads_alone():
    before = torch.get_num_threads()
    candidates = Candidates(FlatTable(), None, [None, None], Limit(0.5, 0.01), 10, None)
    candidates.evaluate = lambda *job: torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        assert candidates.evaluate_all(0, [[0.1, 0.1]] * 4) == [2] * 4
        with ThreadPoolExecutor(1) as new:
            assert new.submit(torch.get_num_threads).result() == torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_epochs_of_the_presets():
    def epochs(translates, **given):
        return with_presets(translates, 5, **given).epochs

    assert (epochs(False), epochs(True), epochs(False, group="all"), epochs(False, search="grid", epochs=2)) == (
        8,
        6,
        6,
        2,
    )


def test_a_group_that_is_gone_is_a_target_still(tmp_path):
    write_recipe(tmp_path / "r.yaml", {"a": ["x"], "b": ["y"]}, {"a": 1.0, "b": 0.25})
    target = parse_target(yaml.safe_load((tmp_path / "r.yaml").read_text())["prune-target"])
    assert round(target["a"] * 150_000_000) == 150_000_000 and target["b"] == 0.25


TRAIN = "--task prune_translation --arch luongnet_tiny".split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--patience", "2"], "--patience: each epoch must run and be saved"),
        (["--save-interval=2"], "--save-interval: each epoch"),
        (["--max-epoch", "2"], "--max-epoch: is set by fairseq-prune sipo itself"),
        (["--task=translation"], "--task translation: does not keep weights removed; give one of .*prune_translation"),
    ],
)
def test_options_that_would_fail_after_the_search(words, message):
    check_words(TRAIN)
    with pytest.raises(ValueError, match=message):
        check_words([*TRAIN, *words])


def test_records_of_a_scripted_run_are_files(tmp_path):
    Scripted(tmp_path, [0.5], rounds=1).run()
    assert json.loads((tmp_path / "search-0.json").read_text())["removed"] == 0.5
    assert {path.name for path in tmp_path.iterdir()} == {"search-0.json", "pruned-0.json", "retrained-0.json"}
