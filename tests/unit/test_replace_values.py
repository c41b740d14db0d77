"""Parameters take on new shapes and stay the same objects, whatever autograd still holds of the old ones."""

import pytest
import torch
from torch import nn

from fairseq_prune.pruning.surgery.cut import replace_values

X = torch.ones(2, 4)


def narrower(linear):
    replace_values(linear, {"weight": linear.weight.detach()[:, :3].clone()})


def overwritten(linear):
    linear.weight.grad, linear.weight.data = None, linear.weight.detach()[:, :3].clone()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_graph_that_outlives_the_change(dtype):
    linear = nn.Linear(4, 2).to(dtype)
    weight, expected = linear.weight, linear.weight.detach()[:, :3].clone()
    loss = linear(X.to(dtype)).sum()
    loss.backward()
    narrower(linear)
    assert linear.weight is weight and weight.grad is None and linear.in_features == 3
    assert torch.equal(weight, expected) and weight.dtype == dtype
    linear(X[:, :3].to(dtype)).sum().backward()
    assert weight.grad.shape == (2, 3) and weight.grad.dtype == dtype and loss.grad_fn is not None


def test_control_such_a_graph_insists_on_its_shape():
    linear = nn.Linear(4, 2)
    loss = linear(X).sum()
    loss.backward()
    overwritten(linear)
    with pytest.raises(RuntimeError, match="invalid gradient"):
        linear(X[:, :3]).sum().backward()
    assert loss.grad_fn is not None
