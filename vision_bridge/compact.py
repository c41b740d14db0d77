"""Cutting channels that compute nothing out of a checkpoint's image classifier."""

from typing import Any

from fairseq_prune.deploy.compact import state_like, with_model
from fairseq_prune.deploy.compactors import COMPACTORS, Compactor
from fairseq_prune.pruning.masks import stored_masks
from fairseq_prune.pruning.surgery.cut import cut_state

from .ratios.layers import PREFIX
from .rebuild import rebuild
from .surgery.dead import keep_living
from .surgery.trace import trace


def compact(checkpoint: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Cut a checkpoint as :func:`fairseq_prune.deploy.compact.compact`, but so that training computes the same, too.

    Raises:
        ValueError: there is nothing to cut or no config, weights do not fit it, or the net cannot be traced.
    """
    state, model = checkpoint["model"], rebuild(checkpoint)
    structure = trace(model.net, model.example(), PREFIX)
    keep = keep_living(structure, {name: state[name] for name, _ in model.named_parameters()})
    if not keep:
        raise ValueError(_why_nothing(structure))
    masks = cut_state(stored_masks(state), structure.table, keep)
    cut = state_like(state, cut_state(state, structure.table, keep), masks)
    removed = dict.fromkeys((vector.kind for vector in structure.vectors.values()), 0)
    for name, units in keep.items():
        removed[structure.vectors[name].kind] += int((~units).sum())
    return with_model(checkpoint, cut), removed


def _why_nothing(structure):
    if not structure.vectors:
        return "nothing to cut: no channel of this net can be removed"
    return (
        "nothing to cut: no channel has only zeros in its filters, biases, norm scales and shifts, and none is unread; "
        "prune whole channels first, e.g. --prune-method l1 --prune-units filter --prune-target 0.5 (a run of one "
        "process cuts them out itself)"
    )


COMPACTORS.add("image_classifier")(Compactor(compact, {"channel": "channels", "neuron": "neurons", "head": "heads"}))
