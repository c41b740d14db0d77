"""A model whose units were cut by an earlier run is pruned again, gradually, and interrupted on the way."""

import copy

import pytest
import torch
from small_models import DECODER, build_model

from fairseq_prune.checkpoint.resize import follow_widths
from fairseq_prune.deploy.prune import idle_optimizer, prune_model
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.pruning.times import Position

GRADUAL = {"method": "magnitude", "units": "neuron", "schedule": "linear", "end": "4up", "every": "2up"}


@pytest.fixture(scope="module")
def narrow():
    """Weights of a model that has 10 of its 20 neurons."""
    torch.manual_seed(1)
    model = build_model("transformer_lm", **DECODER)
    prune_model(model, {"method": "magnitude", "units": "neuron", "target": 0.5})
    return model.state_dict()


def run(weights, options, updates, state=None):
    """Prune from weights, or go on from a state; returns the neurons at each update, the model and its state."""
    model = build_model("transformer_lm", **DECODER)
    follow_widths(model)
    pruner, optimizer = Pruner(model, make_plan(options)), idle_optimizer(model)
    optimizer.get_lr = lambda: 0.1
    model.load_state_dict(copy.deepcopy(weights))
    if state:
        pruner.load_state(state)
    pruner.check_start()
    counts = []
    for update in updates:
        pruner.before_update(optimizer, Position(0, update))
        pruner.after_step(optimizer, Position(0, update))
        keep = pruner.masks.get("decoder.layers.0.fc1.bias")
        counts.append(len(model.decoder.layers[0].fc1.bias) if keep is None else int(keep.sum()))
    return counts, copy.deepcopy(model.state_dict()), copy.deepcopy(pruner.state())


PLANS = {
    "cut on the way": ({"target": 0.6}, [10, 7, 4]),
    "masked on the way": ({"target": 0.6, "rounding": "up"}, [10, 7, 4]),
    "by cost": ({"params_left": 0.96}, [10, 8, 6]),
    "by a penalty": ({"method": "greg1", "target": 0.6, "schedule": "growing", "every": None}, [10, 10, 4]),
}


@pytest.mark.parametrize("stop", [1, 2])
@pytest.mark.parametrize("name", PLANS)
def test_an_interrupted_run_ends_as_the_whole_one(name, stop, narrow):
    changed, expected = PLANS[name]
    options = {key: value for key, value in (GRADUAL | changed).items() if value is not None}
    counts, whole, _ = run(narrow, options, (0, 2, 4))
    begun, weights, state = run(narrow, options, (0, 2, 4)[:stop])
    ended, again, _ = run(weights, options, (0, 2, 4)[stop:], state)
    assert counts == begun + ended == expected
    assert whole.keys() == again.keys() and all(torch.equal(whole[key], again[key]) for key in whole)
