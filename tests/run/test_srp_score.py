"""On a trained toy model, the units with the lowest scores are the ones to miss least."""

import pytest
import torch
from fairseq import checkpoint_utils
from srp_diary import QUIET, srp_run

from fairseq_prune.engine.evidence import gather


@pytest.fixture(scope="module")
def trained(parallel, tmp_path_factory):
    """(model, criterion, its training batches)."""
    run = srp_run(tmp_path_factory.mktemp("trained"), parallel)
    run.train("--max-update", "150", "--dropout", "0.3", *QUIET)
    models, cfg, task = checkpoint_utils.load_model_ensemble_and_task([str(run.folder / "checkpoint_last.pt")])
    task.load_dataset("train")
    batches = task.get_batch_iterator(task.dataset("train"), max_tokens=400).next_epoch_itr(shuffle=False)
    return models[0].eval(), task.build_criterion(cfg.criterion), list(batches)


def connectivity_scores(*trained):
    """To first order, what each unit is worth, dict of vector name -> float [units]."""
    return {name: -gradient for name, gradient in gather("connectivity_gradient", *trained).items()}


def loss_without(trained, removed):
    """Loss in nats a token with the connectivity of some units 0, dict of vector name -> bool or index."""
    model, criterion, batches = trained
    for name, units in removed.items():
        model.connectivity[name].vector[units] = 0
    model.refresh()
    with torch.no_grad():
        losses = [criterion(model, batch)[:2] for batch in batches]
    for c in model.connectivity.values():
        c.vector.fill_(1)
    model.refresh()
    return (sum(loss for loss, _ in losses) / sum(size for _, size in losses)).item()


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_neurons_with_the_lowest_scores_hurt_less_than_random_ones(trained, share):
    """Together; and those with the highest hurt more."""
    scores = {n: s for n, s in connectivity_scores(*trained).items() if n.endswith("fc_c")}

    def loss(scores):
        return loss_without(trained, {name: s.argsort().argsort() < share * len(s) for name, s in scores.items()})

    random = [{n: torch.rand(len(s), generator=torch.Generator().manual_seed(i)) for n, s in scores.items()}
              for i in range(6)]  # fmt: skip
    losses = [loss(drawn) for drawn in random]
    assert loss(scores) < min(losses) and loss({name: -s for name, s in scores.items()}) > max(losses)


def test_scores_tell_what_single_units_are_worth(trained):
    """Of all kinds, each taken out alone: the lower third by score costs less than the upper third."""
    scores, whole = connectivity_scores(*trained), loss_without(trained, {})
    tokens = sum(batch["ntokens"] for batch in trained[2])
    units = [(name, unit) for name, s in scores.items() for unit in range(0, len(s), 2)]
    predicted = torch.tensor([scores[name][unit] / tokens for name, unit in units])
    costs = torch.tensor([loss_without(trained, {name: unit}) - whole for name, unit in units])
    order, third = predicted.argsort(), len(units) // 3
    assert costs[order[:third]].mean() < costs.mean() < costs[order[-third:]].mean()
    assert torch.corrcoef(torch.stack([predicted, costs]))[0, 1] > 0.5
    shuffled = predicted[torch.randperm(len(units), generator=torch.Generator().manual_seed(1))]  # control
    assert torch.corrcoef(torch.stack([shuffled, costs]))[0, 1].abs() < 0.3
