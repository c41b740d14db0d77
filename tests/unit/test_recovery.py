"""When a retrained model counts as recovered, and which epoch is the best."""

import pytest

from fairseq_prune.drivers.sipo.recovery import Recovery

EPOCHS = [(0.49, 19.0), (0.52, 23.0), (0.50, 20.0), (0.51, 20.5), (0.50, 19.5)]


def scores(pairs):
    return [{"accuracy": accuracy, "perplexity": perplexity} for accuracy, perplexity in pairs]


@pytest.mark.parametrize(
    ("by", "slack", "reached", "best"),
    [
        ("accuracy", 0.0, [1, 2, 3, 4], 1),
        ("perplexity", 0.0, [0, 2, 4], 0),
        ("both", 0.0, [2, 4], 2),
        ("both", 0.03, [0, 2, 3, 4], 3),
    ],
)
def test_what_counts(by, slack, reached, best):
    """An epoch equal to the original counts; of those that do, the best is taken, the first of equals."""
    recovery = Recovery(0.50, 20.0, slack, by)
    epochs = scores(EPOCHS)
    assert [i for i, score in enumerate(epochs) if recovery.reached(score)] == reached
    assert recovery.best(epochs) == best


def test_of_those_that_fail_the_most_accurate_is_named():
    recovery = Recovery(0.60, 10.0, by="both")
    assert recovery.best(scores(EPOCHS)) == 1 and not any(map(recovery.reached, scores(EPOCHS)))
