"""The trials of a sweep without trainings: what each is given, what is drawn, and who is trained again."""

from types import SimpleNamespace

import pytest

pytest.importorskip("optuna")

from fairseq_prune.drivers.sweep.queue import Queue
from fairseq_prune.drivers.sweep.recipe import SweepRecipe
from fairseq_prune.drivers.sweep.run import Sweep
from fairseq_prune.drivers.sweep.space import Space

RATES = Space(2, {"--lr": (1e-4, 1.0, "log")})


def recipe(**changed):
    content = {"methods": {"magnitude": ()}, "targets": (0.5,), "seeds": (1, 2, 3)}
    return SweepRecipe(data="", checkpoint="", train=(), **content | changed)


def test_words_of_cells():
    """A method that removes nothing has no target, and one cell; others have that of the recipe's budget."""
    methods = {"none": (), "slow": ("--prune-method", "movement", "--prune-end", "6up")}
    cells = recipe(methods=methods, targets=(0.5, 0.8), budget="macs-left").cells()
    assert [(cell.name, " ".join(cell.words)) for cell in cells] == [
        ("none", "--prune-method none"),
        ("slow-0.5", "--prune-method movement --prune-end 6up --prune-macs-left 0.5"),
        ("slow-0.8", "--prune-method movement --prune-end 6up --prune-macs-left 0.8"),
    ]


def test_controls():
    methods = {
        "random": (), "neurons": ("--prune-method", "random", "--prune-units", "neuron"), "magnitude": (), "none": (),
        "chance": ("--prune-method", "magnitude", "--prune-importance", "random"), "rigl": (),
        "worth": ("--prune-method", "random", "--prune-importance", "magnitude"),
    }  # fmt: skip
    asked = recipe(methods=methods)
    assert [name for name in methods if asked.is_control(name)] == ["random", "neurons", "chance"]


def test_a_winner_waits_for_the_search_and_is_of_it(tmp_path):
    """Others may train the rest of a search; what its winner does with other seeds is no part of it."""
    queue = Queue(str(tmp_path), recipe(search=RATES))
    first = queue.take(set())
    second = queue.take({first.folder})
    assert queue.take({first.folder, second.folder}) is None and queue.running(set()) == 2
    first.tell(3.0)
    assert queue.take({second.folder}) is None
    second.tell(2.0)
    third = queue.take(set())
    assert (third.seed, third.options, third.stoppable) == (2, second.options, False)
    third.tell(1.0)
    assert queue.take(set()).options == second.options != first.options
    assert queue.best_options(queue.cells[0]) == second.options and (queue.count, queue.ended()) == (4, 3)


def drawn(folder, seed):
    folder.mkdir()
    queue = Queue(str(folder), recipe(seeds=(seed,), search=RATES))
    first = queue.take(set())
    return [job.options["--lr"] for job in (first, queue.take({first.folder}))]


def test_what_is_drawn_goes_by_seed_and_trial(tmp_path):
    ones, again, others = (drawn(tmp_path / str(name), seed) for name, seed in enumerate((1, 1, 2)))
    assert ones == again and len({*ones, *others}) == 4


def test_scales():
    """By their logarithms, or as they are."""
    asked = []
    trial = SimpleNamespace(suggest_float=lambda *given, log: asked.append((*given, log)))
    Space(1, {"--lr": (1e-4, 1.0, "log"), "--dropout": (0.0, 0.5, "linear")}).draw(trial)
    assert asked == [("--lr", 1e-4, 1.0, True), ("--dropout", 0.0, 0.5, False)]


def test_no_trial_is_stopped_before_its_warm_up(tmp_path):
    space = Space(5, RATES.options, warm_up=10)
    queue = Queue(str(tmp_path), recipe(seeds=(1,), search=space))
    for _ in range(3):
        job = queue.take(set())
        for step in (5, 10):
            job.trial.report(1.0, step)
        job.tell(1.0)
    bad = queue.take(set())
    stops = []
    for step in (5, 10):
        bad.trial.report(9.0, step)
        stops.append(bad.trial.should_prune())
    assert stops == [False, True]


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep of a search by BLEU, whose trainings end at once: its report, and the words of each training."""
    from fairseq_prune.drivers.sweep import run

    (tmp_path / "dense.pt").write_bytes(b"dense")
    words, bleu = [], iter((20.0, 30.0, 25.0, 1.0))
    monkeypatch.setattr(run, "train_logged", lambda data, folder, given, hopeless: words.append(given) or True)

    def measured(path, metric, data):
        if path.endswith("dense.pt"):
            return {"quality": 40.0, "params": 12, "nonzero": 10}
        return {"quality": next(bleu), "params": 8, "nonzero": 6}

    monkeypatch.setattr(run, "measure", measured)
    asked = recipe(seeds=(1, 2), search=Space(3, RATES.options), metric="test_bleu")
    sweep = Sweep(SweepRecipe(**{**vars(asked), "checkpoint": str(tmp_path / "dense.pt")}), str(tmp_path / "a"), print)
    assert sweep.run() == ""
    return sweep.report(), words


def test_the_highest_wins_where_higher_is_better(sweep):
    """And what is cut counts as removed, as what is zero does."""
    report, words = sweep
    (cell,) = report["cells"]
    rates = [given[given.index("--lr") + 1] for given in words]
    assert len(set(rates)) == 3 and rates[3] == rates[1] == cell["options"]["--lr"]
    assert [(trial["seed"], trial["quality"]) for trial in cell["trials"]] == [(1, 30.0), (2, 1.0)]
    assert [trial["removed"] for trial in cell["trials"]] == [pytest.approx(0.4)] * 2
