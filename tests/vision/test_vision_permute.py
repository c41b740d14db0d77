"""Channel permutation of image classifiers, coupled by tracing: another order, the same function."""

import pytest
import torch
from permutations import permute_state
from torch import nn

from fairseq_prune.families import permutable
from fairseq_prune.pruning.permute.apply import permuted
from fairseq_prune.pruning.permute.search import kept
from fairseq_prune.pruning.permute.stack import stack
from fairseq_prune.pruning.surgery.cut import entries
from fairseq_prune.pruning.surgery.structure import Structure
from vision.test_trace import VECTORS, build, images, outputs
from vision_bridge.surgery.trace import trace

NETS = {  # net -> what it is here for, and whether the search runs
    "resnet8b": True,  # residual sums with convolutions as shortcuts
    "resnet20": False,  # sums with padded shortcuts
    "vgg11": False,  # plain, flattened at 1 x 1
    "conv6": False,  # flattened maps
    "lenet5": True,  # flattened maps, widths that are no multiples of 4
    "mobilenetv2": False,  # depthwise convolutions
    "lenet300": True,  # a multi-layer perceptron
    "densenet": True,  # concatenations
    "squeezenet1_1": False,
}


def orders_of(net, structure, searched):
    generator = torch.Generator().manual_seed(1)
    if searched:
        return permuted(net, structure, 2, 4, generator, rounds=5)
    lengths = {name: vector.length for name, vector in structure.vectors.items()}
    return {name: torch.randperm(length, generator=generator) for name, length in lengths.items()}


@pytest.fixture(scope="module", params=NETS)
def case(request):
    name, searched = request.param, NETS[request.param]
    size = VECTORS[name][0]
    net = build(name, size).eval()
    structure = trace(net, torch.zeros(2, 3, size, size))
    return net, structure, orders_of(net, structure, searched), images(size, 2), searched


def moved(net, structure, orders, image):
    """The net's output after its channels have changed places; the net keeps its state."""
    state = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(permute_state(state, structure, orders))
    with torch.no_grad():
        out = outputs(net, image)
    net.load_state_dict(state)
    return out


def test_the_same_function(case):
    net, structure, orders, image, _ = case
    assert orders
    with torch.no_grad():
        before = outputs(net, image)
    assert (moved(net, structure, orders, image) - before).abs().max() < 1e-9 * max(1, before.abs().max())


def test_only_the_readers_moved(case):
    """Control: without what writes and norms the channels, it is another function."""
    net, structure, orders, image, _ = case
    table = {entry: tuple(o for o in of if o.axis == 1) for entry, of in structure.table.items()}
    with torch.no_grad():
        before = outputs(net, image)
    assert (moved(net, Structure(table, structure.vectors), orders, image) - before).abs().max() > 1e-6


def test_readers_keep_more(case):
    net, structure, orders, _, searched = case
    if searched:
        after = permute_state(entries(net), structure, orders)
        for name in orders:
            mine, theirs = (stack(structure, name, values, 4) for values in (entries(net), after))
            assert kept(theirs, 2, 4) > kept(mine, 2, 4)
        net.load_state_dict(permute_state(net.state_dict(), structure, orders))
        assert permuted(net, structure, 2, 4, torch.Generator(), rounds=5) == {}


def test_what_is_searched():
    """All vectors of which a reader's groups are whole; the 6 channels of LeNet's first layer make none."""
    size = VECTORS["lenet5"][0]
    net = build("lenet5", size)
    structure = trace(net, torch.zeros(2, 3, size, size))
    found = permuted(net, structure, 2, 4, torch.Generator().manual_seed(1), rounds=1)
    assert set(structure.vectors) - set(found) == {"conv1"}


def test_vision_transformers_move_their_value_dims():
    from torchvision.models import VisionTransformer

    torch.manual_seed(1)
    net = VisionTransformer(8, 4, 2, 2, 32, 24, num_classes=10).double().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    structure, image = permutable(net), images(8, 2)
    orders = permuted(net, structure, 2, 4, torch.Generator().manual_seed(1))
    assert len(orders) == 4 and {structure.vectors[name].kind for name in orders} == {"value"}
    with torch.no_grad():
        assert (moved(net, structure, orders, image) - net(image)).abs().max() < 1e-9
