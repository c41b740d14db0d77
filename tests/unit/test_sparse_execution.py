"""Layers without their removed weights: equal to dense ones, and taken only where the clock says so."""

import copy

import pytest
import torch
from small_models import build_model
from torch import nn

from fairseq_prune.evaluate.blocks import column_blocks
from fairseq_prune.evaluate.evaluator import Evaluator
from fairseq_prune.modules.csr.choice import Faster
from fairseq_prune.modules.csr.execute import Execution
from fairseq_prune.modules.csr.forms import CsrLinear
from fairseq_prune.modules.word_projection import IMPOSSIBLE, WordProjection

TORN = 0.9


def torn(module, fraction=TORN):
    """The module with that part of each matrix removed at random."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.mul_(torch.rand(parameter.shape, generator=generator) > fraction)
    return module.eval()


def inputs(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


LAYERS = {  # layer, its inputs
    "linear": (nn.Linear(24, 100), [inputs(3, 50, 24)]),
    "no bias": (nn.Linear(24, 100, bias=False), [inputs(1, 24)]),
    "words": (WordProjection(24, 100), [inputs(2, 3, 24)]),
    "lstm": (nn.LSTM(24, 16, 2), [inputs(7, 5, 24)]),
    "lstm with state": (nn.LSTM(24, 16, 2, bias=False), [inputs(7, 5, 24), (inputs(2, 5, 16), inputs(2, 5, 16))]),
    "cell": (nn.LSTMCell(24, 16), [inputs(5, 24), (inputs(5, 16), inputs(5, 16))]),
    "cell from zeros": (nn.LSTMCell(24, 16), [inputs(5, 24)]),
}


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_csr_computes_the_same(name):
    layer, given = LAYERS[name]
    expected = torn(layer)(*given)
    execution = Execution(layer, "csr")
    found = layer(*given)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert [type(way).__name__[:3] for way in execution.layers[""].chosen.values()] == ["Csr"]
    for parameter in layer.parameters():
        parameter.mul_(2)
    stale = layer(*given)
    execution.refresh()
    fresh = layer(*given)
    Execution(layer, "dense")
    assert "forward" not in vars(layer)
    torch.testing.assert_close(fresh, layer(*given), rtol=0, atol=1e-5)
    with pytest.raises(AssertionError):  # the control: what was built before the weights changed differs
        torch.testing.assert_close(stale, layer(*given), rtol=0, atol=1e-5)


def test_absent_words_stay_impossible():
    layer = torn(WordProjection(8, 20))
    Execution(layer, "csr")
    with torch.no_grad():
        scores = layer(inputs(4, 8))
    assert scores.shape == (4, 22) and (scores[:, :2] == IMPOSSIBLE).all()


class Timed(CsrLinear):
    """CSR whose every product takes the seconds that a clock is told, and the first those of making its matrix."""

    def __init__(self, layer, clock):
        super().__init__(layer.weight, layer.bias)
        self.clock, self.made = clock, False

    def __call__(self, x):
        if not self.made:
            self.made = True
            self.clock.pass_by("making")
        self.clock.pass_by("csr")
        return super().__call__(x)


class Clock:
    """Tells the time that was spent on calls, each way of computing with its own cost."""

    def __init__(self, layer, dense, csr, making=0.0):
        self.now, self.calls, self.costs = 0.0, [], {"dense": dense, "csr": csr, "making": making}
        self.faster = Faster("layer", self.dense, lambda: Timed(layer, self), clock=lambda: self.now)

    def dense(self, x):
        self.pass_by("dense")
        return x

    def pass_by(self, way):
        if way != "making":
            self.calls.append(way)
        self.now += self.costs[way]


@pytest.mark.parametrize("dense, csr, chosen", [(2.0, 1.0, "csr"), (1.0, 2.0, "dense"), (1.0, 0.99, "dense")])
@torch.no_grad()
def test_the_clock_chooses_once_for_each_size(dense, csr, chosen):
    clock = Clock(torn(nn.Linear(24, 100)), dense, csr)
    clock.faster(inputs(5, 24))
    assert sorted(set(clock.calls)) == ["csr", "dense"] and clock.calls[-1] == chosen
    timed = len(clock.calls)
    clock.faster(inputs(6, 24))  # as many bits as 5
    assert clock.calls[timed:] == [chosen]
    clock.faster(inputs(9, 24))  # another size is timed anew
    assert len(clock.calls) == 2 * timed + 1


@torch.no_grad()
def test_what_is_hardly_pruned_is_dense_without_a_trial():
    clock = Clock(torn(nn.Linear(24, 100), 0.3), 2.0, 1.0)
    clock.faster(inputs(5, 24))
    assert clock.calls == ["dense"]


@torch.no_grad()
def test_only_what_is_between_the_fractions_is_timed_again():
    """After 10 % left were won and 30 % lost, 5 % and 40 % need no clock, and 20 % do."""
    layer = nn.Linear(24, 100)
    clock, x = Clock(layer, 2.0, 1.0), inputs(5, 24)

    def calls(left, csr):
        layer.weight.fill_(1.0).view(-1)[int(left * layer.weight.numel()) :] = 0
        clock.costs["csr"], clock.calls = csr, []
        clock.faster.refresh()
        clock.faster(x)
        return clock.calls

    assert len(calls(0.1, 1.0)) > 2 and len(calls(0.3, 3.0)) > 2
    assert calls(0.05, 9.0) == ["csr"] and calls(0.4, 0.1) == ["dense"]
    assert len(calls(0.2, 1.0)) > 2 and calls(0.15, 9.0) == ["csr"]


@pytest.mark.parametrize("products, chosen", [(9, "dense"), (11, "csr")])
@torch.no_grad()
def test_matrices_are_made_where_that_is_repaid(products, chosen):
    """As of a candidate of SiPO: 1 second saved a product, 10 to make the matrix; after one candidate it is known."""
    clock, x = Clock(torn(nn.Linear(24, 100)), 2.0, 1.0, making=10.0), inputs(5, 24)

    def candidate(products):
        clock.faster.refresh()
        clock.calls, before = [], clock.now
        for _ in range(products):
            clock.faster(x)
        return set(clock.calls), clock.now - before

    assert candidate(products)[0] == {"dense", "csr"}  # timed
    assert candidate(products) == ({chosen}, min(2.0 * products, 10 + products))
    assert candidate(1)[0] == {chosen} and candidate(20) == ({"dense"}, 40.0)  # goes by the one before
    clock.faster.refresh()  # without a product between: nothing is learned of how often it is used
    assert candidate(20) == ({"csr"}, 30.0)


@torch.no_grad()
def test_a_size_that_is_first_met_where_nothing_was_repaid_is_timed_with_the_next_weights():
    clock = Clock(torn(nn.Linear(24, 100)), 2.0, 1.0, making=10.0)
    for rows, products, chosen in ((5, 1, "csr"), (50, 20, "dense"), (50, 20, "csr"), (50, 20, "csr"), (5, 1, "csr")):
        clock.faster.refresh()
        for _ in range(products):
            clock.faster(inputs(rows, 24))
        assert clock.calls[-1] == chosen
    assert clock.calls.count("dense") == 4 + 20 + 4  # both sizes timed once


@torch.no_grad()
def test_fewer_weights_left_may_repay_what_more_did_not():
    """Fractions that CSR lost at say nothing of those far below."""
    layer = nn.Linear(24, 100)
    clock, x = Clock(layer, 2.0, 4.0, making=1.0), inputs(5, 24)
    for left, csr, chosen in ((0.4, 4.0, "dense"), (0.38, 0.1, "dense"), (0.1, 0.5, "csr"), (0.11, 9.0, "csr")):
        layer.weight.fill_(1.0).view(-1)[int(left * layer.weight.numel()) :] = 0
        clock.costs["csr"] = csr
        clock.faster.refresh()
        clock.faster(x)
        assert clock.calls[-1] == chosen
    assert clock.calls.count("csr") == 2 * 4 + 2  # timed twice, and used


def test_training_and_other_types_are_dense():
    clock = Clock(torn(nn.Linear(24, 100)), 2.0, 1.0)
    clock.faster(inputs(5, 24))
    assert clock.calls == ["dense"]
    with torch.no_grad():
        layer = torn(nn.Linear(24, 100)).double()
        Execution(layer, "csr")
        assert layer(inputs(5, 24).double()).dtype == torch.float64


@pytest.mark.parametrize("how", ["csr", "auto"])
def test_an_evaluation_counts_the_same(how):
    """Accuracy, hits and perplexity, also of a copy, and after the weights have changed."""
    model = torn(build_model("rnn_lm_tiny", decoder_layers=2))
    columns = torch.randint(4, len(model.decoder.dictionary), (3, 40), generator=torch.Generator().manual_seed(3))
    dense, sparse = (Evaluator(copy.deepcopy(model), column_blocks(columns, 1, 4), how=h) for h in ("dense", how))
    for evaluator in (dense, sparse, sparse.copy()):
        assert evaluator.measure().nll == pytest.approx(dense.measure().nll, rel=1e-5)
        assert evaluator.hits(117).block_hits == dense.hits(117).block_hits
    with torch.no_grad():
        for evaluator in (dense, sparse):
            for parameter in evaluator.parameters.values():
                parameter.mul_(1.5)
    assert sparse.perplexity(117) == pytest.approx(dense.perplexity(117), rel=1e-5)
