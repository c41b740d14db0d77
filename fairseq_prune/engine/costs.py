"""The cost of a model in memory: its parameters, or its multiply-accumulates, by its family or by running it."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..families.macs import find_cost, terms_of
from ..pruning.budget.cost import Costs, Term
from .evaluating import evaluating

LENGTH = 25  # tokens of the sentence whose multiply-accumulates count, on either side; as inspect counts


def parameter_costs(model: nn.Module) -> Costs:
    """Every parameter counts once, shared ones too.

    Args:
        model: any ``nn.Module``.
    """
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    return Costs([Term(name, 1) for name in shapes], 0, shapes)


def family_costs(model: nn.Module) -> Costs | None:
    """Multiply-accumulates of a sentence of :data:`LENGTH` tokens; None for a model of no known family."""
    named = {n: p for n, p in model.named_parameters(remove_duplicate=False) if p.dim() > 1}
    shapes = {name: parameter.shape for name, parameter in named.items()}
    if (cost := find_cost(shapes)) is None:
        return None
    first = {parameter: name for name, parameter in reversed(named.items())}  # the name that owners know
    terms = terms_of(cost, shapes, LENGTH, LENGTH)
    return Costs([term._replace(name=first[named[term.name]]) for term in terms], 0, shapes)


def costs_of(model: nn.Module, of: str) -> Costs | None:
    """A cost that shapes tell: ``"params"`` of any model, ``"macs"`` of one of a known family; else None."""
    return parameter_costs(model) if of == "params" else family_costs(model)


def measured_costs(model: nn.Module, run: Callable[[], Any]) -> Costs:
    """Multiply-accumulates of one forward pass in eval mode, each counted where torch multiplies.

    A product with a parameter is that tensor's; a product of activations, as in attention, counts as what no cut
    changes, so that a cut model costs at most what is told.

    Args:
        model: any ``nn.Module``.
        run: the pass.
    """
    named = dict(model.named_parameters())
    device = next(iter(named.values())).device
    products = _Products({p.untyped_storage().data_ptr(): name for name, p in named.items()})
    with contextlib.ExitStack() as settings:
        settings.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        settings.enter_context(evaluating(model))
        settings.enter_context(torch.backends.mkldnn.flags(enabled=False))  # fused cells and attention hide theirs
        settings.enter_context(sdpa_kernel(SDPBackend.MATH))
        settings.enter_context(products)
        run()
    terms = [Term(name, macs / named[name].numel()) for name, macs in products.of_parameters.items()]
    return Costs(terms, products.others, {name: parameter.shape for name, parameter in named.items()})


class _Products(TorchDispatchMode):
    """Adds up the multiply-accumulates of what runs within it.

    Args:
        places: dict of address of a storage -> name of the parameter that lies there.

    Attributes:
        of_parameters: dict of name -> multiply-accumulates with it.
        others: those without a parameter.
    """

    def __init__(self, places: Mapping[int, str]):
        from torch.utils.flop_counter import flop_registry  # with it triton, which takes a while

        super().__init__()
        self._places, self._macs_of = places, flop_registry
        self.of_parameters, self.others = Counter(), 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if (count := self._macs_of.get(func._overloadpacket)) is not None:
            macs = count(*args, **kwargs, out_val=result) / 2
            tensors = [leaf for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf) and leaf.dim() > 1]
            found = [self._places.get(tensor.untyped_storage().data_ptr()) for tensor in tensors]
            if name := next(filter(None, found), None):
                self.of_parameters[name] += macs
            else:
                self.others += macs
        return result
