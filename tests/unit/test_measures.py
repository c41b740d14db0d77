"""Living units, the harmonic mean and the account of a training, by hand."""

import pytest
import torch
from fairseq.logging import metrics

from fairseq_prune.engine.account import Account, log_harmonic_mean
from fairseq_prune.engine.evidence import KINDS
from fairseq_prune.pruning.measures import harmonic_mean, living_units
from fairseq_prune.pruning.surgery.structure import Coupled, Structure
from fairseq_prune.pruning.surgery.table import Owner


@pytest.mark.parametrize("removed, accuracy, expected", [(0.5, 1.0, 2 / 3), (0.9, 0.9, 0.9), (0.0, 1, 0), (1, 0.0, 0)])
def test_harmonic_mean(removed, accuracy, expected):
    assert harmonic_mean(removed, accuracy) == pytest.approx(expected)


def test_living_units():
    """Of four units one is not written, one is not read, and one has neither; the bias of the first does not help."""
    table = {"a.weight": (Owner(0, "a"),), "a.bias": (Owner(0, "a"),), "b.weight": (Owner(1, "a"),)}
    structure = Structure(table, {"a": Coupled("a", "neuron", 4, ("a.weight",), ("b.weight",))})
    written, read = torch.tensor([[0.0, 0], [0, 1], [2, 0], [0, 0]]), torch.tensor([[1.0, 0, 3, 0], [1, 0, 0, 0]])
    weights = {"a.weight": written, "a.bias": torch.ones(4), "b.weight": read}
    assert living_units(structure, weights)["a"].tolist() == [False, False, True, False]
    weights["a.weight"] = torch.ones(4, 2)
    assert living_units(structure, weights)["a"].tolist() == [True, False, True, False]


class Model:
    """Costs that a test sets; every setting is another version."""

    def __init__(self, **costs):
        self.asked, self.version = 0, None
        self.set(**costs)

    def set(self, **costs):
        self.costs, self.version = costs, object()

    def count(self):
        self.asked += 1
        return self.costs


def logged(account):
    with metrics.aggregate(new_root=True) as meters:
        account.log()
    return meters.get_smoothed_values()


class TestAccount:
    def test_updates_cost_what_the_model_is_then(self):
        """Two updates of 10 samples at 100 MACs, scoring 4 samples twice, then an update at 40 MACs, 10 not zero."""
        model = Model(macs=100, nonzero_macs=100, nodes=8)
        account = Account(model.count, lambda: model.version)
        for _ in range(2):
            account.open()
            account.begin_update()
            account.spend_update(10)
        account.spend_scoring(KINDS["sensitivity"].passes(None), 4)
        account.spend_scoring(KINDS["hessian_gradient"].passes(None), 4)
        account.open()
        model.set(macs=40, nonzero_macs=10, nodes=2)
        account.begin_update()
        model.set(macs=1, nonzero_macs=1, nodes=2)  # a removal after the step is for the next update
        account.spend_update(10)
        assert account.spent == {"macs": 6000 + 1200 + 4800 + 1200, "nonzero_macs": 6000 + 1200 + 4800 + 300}
        assert account.dense == 9000
        found = logged(account)
        assert found["train_speedup"] == round(9000 / 13200, 4) and found["nodes_removed"] == 0.75
        assert (found["macs"], found["train_macs"], found["train_nonzero_macs"]) == (1, 13200, 12300)
        assert model.asked == 3  # once a version

    def test_a_resumed_run_goes_on(self):
        model = Model(macs=100, nonzero_macs=100)
        first, second = (Account(model.count, lambda: model.version) for _ in range(2))
        first.open()
        first.begin_update()
        first.spend_update(1)
        model.set(macs=50, nonzero_macs=50)
        second.load_state(first.state())
        for account in (first, second):
            account.open()
            account.begin_update()
            account.spend_update(1)
        assert first.state() == second.state() == {"start": first.start, "spent": {"macs": 450, "nonzero_macs": 450},
                                                   "dense": 600, "now": {"macs": 50, "nonzero_macs": 50}}  # fmt: skip

    def test_without_macs_there_is_no_account(self):
        account = Account(lambda: {"params": 5}, lambda: "always")
        account.open()
        account.begin_update()
        account.spend_update(10)
        assert logged(account) == {"params": 5}


@pytest.mark.parametrize("accuracy, expected", [({"top1": 50.0}, 2 * 0.8 * 0.5 / 1.3), ({}, None)])
def test_the_mean_is_logged_where_accuracy_is(accuracy, expected):
    with metrics.aggregate(new_root=True) as meters:
        for name, value in {"removed": 0.8, **accuracy}.items():
            metrics.log_scalar(name, value)
        log_harmonic_mean()
    assert meters.get_smoothed_values().get("hm") == (expected and pytest.approx(expected, abs=1e-4))
