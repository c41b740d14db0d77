"""Dead units against brute force: a unit is dead exactly if the block computes the same without it."""

from argparse import Namespace
from collections import OrderedDict

import pytest
import torch
from torch.nn import functional as F

from fairseq_prune.deploy.compact import compact, remove_dead_units
from fairseq_prune.deploy.dead_units import find_dead
from fairseq_prune.families.transformer.table import transformer_table
from fairseq_prune.pruning.masks import METADATA_KEY, pack_mask, stored_masks
from fairseq_prune.pruning.surgery.structure import evenly

WIDTH, NEURONS, HEADS = 6, 8, 2
LAYER = "encoder.layers.0"
BLOCK, FFN = f"{LAYER}.self_attn", f"{LAYER}.fc_c"
QK, VO = f"{BLOCK}_qk_c", f"{BLOCK}_vo_c"
X = torch.randn(20, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def state():
    """One layer in float64, with connectivity between 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    layers = {f"{BLOCK}.{part}_proj": (WIDTH, WIDTH) for part in ("q", "k", "v", "out")}
    layers |= {f"{LAYER}.fc1": (NEURONS, WIDTH), f"{LAYER}.fc2": (WIDTH, NEURONS)}
    tensors = OrderedDict()
    for name, shape in layers.items():
        tensors[f"{name}.weight"] = torch.randn(shape, dtype=torch.float64, generator=generator) / 2
        tensors[f"{name}.bias"] = torch.randn(shape[0], dtype=torch.float64, generator=generator)
    for name, length in ((QK, WIDTH), (VO, WIDTH), (FFN, NEURONS)):
        tensors[name] = torch.rand(length, dtype=torch.float64, generator=generator) + 0.5
    tensors._metadata = OrderedDict({"": {"version": 1}})
    return tensors


def linear(state, name, x):
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def output(state):
    """Attention, then feed-forward block (without norms and residuals) of 20 positions."""
    q, k, v = (linear(state, f"{BLOCK}.{part}_proj", X).unflatten(1, (HEADS, -1)).transpose(0, 1) for part in "qkv")
    c = state[QK].view(HEADS, 1, -1)
    probabilities = (q * c @ k.transpose(1, 2)).softmax(2)
    context = (probabilities @ v).transpose(0, 1).flatten(1) * state[VO]
    hidden = F.gelu(linear(state, f"{LAYER}.fc1", linear(state, f"{BLOCK}.out_proj", context)))
    return linear(state, f"{LAYER}.fc2", hidden * state[FFN])


def remove(state):
    return remove_dead_units(state, transformer_table(state, shared=False), lambda _: HEADS, F.gelu)


def zero(*parts):
    """Zero unit 1 of head 0 and unit 1 of head 1 (or neurons 1 and 4) in the named entries."""

    def damage(state):
        for part in parts:
            values = state[part]
            (values.t() if part.endswith(("out_proj.weight", "fc2.weight")) else values)[[1, 4]] = 0

    return damage


DEADLY = {  # what is zero: the vector that loses units 1 and 4
    "neuron without input": (zero(f"{LAYER}.fc1.weight"), FFN),
    "neuron without input and bias": (zero(f"{LAYER}.fc1.weight", f"{LAYER}.fc1.bias"), FFN),
    "neuron without reader": (zero(f"{LAYER}.fc2.weight"), FFN),
    "neuron without either": (zero(f"{LAYER}.fc1.weight", f"{LAYER}.fc2.weight"), FFN),
    "neuron without connectivity": (zero(FFN), FFN),
    "value without input": (zero(f"{BLOCK}.v_proj.weight"), VO),
    "value without reader": (zero(f"{BLOCK}.out_proj.weight"), VO),
    "value without connectivity": (zero(VO), VO),
    "key without input": (zero(f"{BLOCK}.k_proj.weight"), QK),
    "query without input and bias": (zero(f"{BLOCK}.q_proj.weight", f"{BLOCK}.q_proj.bias"), QK),
    "query without connectivity": (zero(QK), QK),
}
HARMLESS = {
    "query with a bias": (zero(f"{BLOCK}.q_proj.weight"), QK),
    "neuron without bias": (zero(f"{LAYER}.fc1.bias"), FFN),
    "value without bias": (zero(f"{BLOCK}.v_proj.bias"), VO),
    "query and key without bias": (zero(f"{BLOCK}.q_proj.bias", f"{BLOCK}.k_proj.bias"), QK),
}


@pytest.mark.parametrize("case", DEADLY)
def test_dead_units_are_cut_and_nothing_changes(state, case):
    damage, vector = DEADLY[case]
    damage(state)
    assert find_dead(state, vector, F.gelu).units.nonzero().view(-1).tolist() == [1, 4]
    before, copies = output(state), {name: value.clone() for name, value in state.items()}
    cut, removed = remove(state)
    assert sum(removed.values()) == 2
    assert len(cut[vector]) == len(state[vector]) - 2
    torch.testing.assert_close(output(cut), before, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(state[name], value) for name, value in copies.items())  # the original is as it was


@pytest.mark.parametrize("case", [None, *HARMLESS, *DEADLY])
def test_what_is_not_dead_is_missed(state, case):
    """The control: without any other unit, the output is another one."""
    if case:
        (HARMLESS | DEADLY)[case][0](state)
    before = output(state)
    for vector in (FFN, VO, QK):
        dead = find_dead(state, vector, F.gelu)
        for unit in (~dead.units).nonzero().view(-1).tolist():
            without = dict(state) | {vector: state[vector].clone()}
            without[vector][unit] = 0
            assert (output(without) - before).abs().max() > 1e-4, (vector, unit)


@pytest.mark.parametrize("case", HARMLESS)
def test_zeros_that_do_not_kill(state, case):
    damage, vector = HARMLESS[case]
    damage(state)
    assert not find_dead(state, vector, F.gelu).units.any()
    assert not remove(state)[1]


def test_heads_lose_the_same_number(state):
    state[f"{BLOCK}.k_proj.weight"][[0, 1, 5]] = 0
    state[f"{BLOCK}.v_proj.weight"][3:] = 0
    before = output(state)
    cut, removed = remove(state)
    assert dict(removed) == {"qk": 2}
    assert cut[f"{BLOCK}.k_proj.weight"].shape == (4, WIDTH)
    assert torch.equal(cut[f"{BLOCK}.q_proj.bias"], state[f"{BLOCK}.q_proj.bias"][[1, 2, 3, 4]])
    torch.testing.assert_close(output(cut), before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "units, heads, leave",
    [
        ([1, 0, 1, 0, 0, 0], 2, [0, 0, 0, 0, 0, 0]),
        ([1, 0, 1, 0, 1, 0], 2, [1, 0, 0, 0, 1, 0]),
        ([1, 1, 1, 1], 2, [1, 0, 1, 0]),
        ([1, 1, 1, 1], 4, [0, 0, 0, 0]),
        ([1, 0, 1], 1, [1, 0, 1]),
    ],
)
def test_evenly(units, heads, leave):
    assert evenly(torch.tensor(units).bool(), heads, stay=1).int().tolist() == leave


def test_evenly_may_leave_nothing():
    assert evenly(torch.tensor([True, True]), 1).all() and not evenly(torch.tensor([True, False]), 2).any()


def test_one_unit_stays_where_all_are_dead(state):
    state[f"{LAYER}.fc1.weight"].zero_()
    state[f"{BLOCK}.v_proj.weight"].zero_()
    before = output(state)
    cut, removed = remove(state)
    assert dict(removed) == {"vo": WIDTH - HEADS, "neuron": NEURONS - 1}
    assert cut[f"{LAYER}.fc2.weight"].shape == (WIDTH, 1)
    assert not remove(cut)[1]  # a second time there is nothing left to remove
    torch.testing.assert_close(output(cut), before, rtol=1e-12, atol=1e-12)


def test_a_narrower_stream_leaves_more_units_dead(state):
    """A neuron that reads only removed dimensions goes in the same run."""
    state["encoder.embedding_c"] = torch.tensor([1.0, 0, 1, 1, 1, 1])
    state[f"{LAYER}.fc1.weight"][3, [0, 2, 3, 4, 5]] = 0
    cut, removed = remove(state)
    assert dict(removed) == {"residual": 1, "neuron": 1}
    assert cut[f"{LAYER}.fc1.weight"].shape == (NEURONS - 1, WIDTH - 1)
    assert cut["encoder.embedding_c"].tolist() == [1.0] * 5


def test_masks_are_cut_along(state):
    keep = {f"{LAYER}.fc1.weight": torch.ones(NEURONS, WIDTH).bool(), f"{LAYER}.fc2.weight": None}
    keep[f"{LAYER}.fc1.weight"][[1, 4]] = False
    keep[f"{LAYER}.fc2.weight"] = torch.rand(WIDTH, NEURONS, generator=torch.Generator().manual_seed(3)) < 0.5
    keep[f"{LAYER}.fc2.bias"] = torch.tensor([True, False, True, True, True, False])
    for name, mask in keep.items():
        state[name] *= mask
    state._metadata[""][METADATA_KEY] = {name: pack_mask(mask) for name, mask in keep.items()}
    state[f"{LAYER}.fc2.weight"][5] = 0
    cut, _ = remove(state)
    masks = stored_masks(cut)
    assert set(masks) == {f"{LAYER}.fc2.weight", f"{LAYER}.fc2.bias"}  # the first is whole now
    others = [0, 2, 3, 5, 6, 7]
    assert torch.equal(masks[f"{LAYER}.fc2.weight"], keep[f"{LAYER}.fc2.weight"][:, others])
    # element 1 got the neurons' constant, element 5 nothing
    assert masks[f"{LAYER}.fc2.bias"].tolist() == [True, True, True, True, True, False]
    assert cut._metadata[""]["version"] == 1
    assert set(stored_masks(state)) == set(keep)


def test_ties_stay_ties(state):
    table = state["decoder.embed_tokens.weight"] = torch.randn(9, WIDTH)
    state["decoder.output_projection.weight"] = table.detach()
    state["decoder.another.weight"] = table[:]
    state["decoder.embedding_c"] = torch.tensor([1.0, 1, 0, 1, 1, 0])
    cut, _ = remove(state)
    embedding, output_projection = (cut[f"decoder.{name}.weight"] for name in ("embed_tokens", "output_projection"))
    assert embedding.shape == (9, 4)
    assert embedding.data_ptr() == output_projection.data_ptr()
    assert cut["decoder.another.weight"].shape == (9, WIDTH)  # no vector owns it


def test_constants_are_not_rounded_to_half_precision(state):
    """The bias of an fp16 model is stored in fp32, else the cut model would be another function."""
    half = OrderedDict((name, value.half()) for name, value in state.items())
    half[f"{LAYER}.fc1.weight"][[1, 4]] = 0
    cut, _ = remove(half)
    assert {name for name, value in cut.items() if value.dtype != torch.float16} == {f"{LAYER}.fc2.bias"}
    before, after = (output({name: value.double() for name, value in s.items()}) for s in (half, cut))
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lost", [f"{LAYER}.fc1.bias", f"{BLOCK}.v_proj.weight", f"{BLOCK}.k_proj.weight"])
def test_blocks_that_are_not_whole_are_left_alone(state, lost):
    """E.g. the packed projections of old checkpoints, or foreign layers with the same names."""
    zero(f"{LAYER}.fc2.weight", f"{BLOCK}.out_proj.weight", f"{BLOCK}.q_proj.weight", f"{BLOCK}.q_proj.bias")(state)
    kinds = set(remove(state)[1])
    del state[lost]
    assert len(kinds - set(remove(state)[1])) == 1


def test_neurons_before_a_norm_stay(state):
    zero(f"{LAYER}.fc2.weight")(state)
    state[f"{LAYER}.ffn_layernorm.weight"] = torch.ones(NEURONS)
    assert not remove(state)[1]


def test_other_architectures_have_nothing_to_cut():
    state = OrderedDict({"decoder.layers.0.weight_ih": torch.zeros(4, 4)})
    config = {"model": Namespace(arch="lstm", _name="lstm"), "task": {"_name": "translation"}}
    with pytest.raises(ValueError, match="nothing to cut: architecture lstm has no Transformer layers"):
        compact({"model": state, "cfg": config})
    with pytest.raises(ValueError, match="no config"):
        compact({"model": state})
