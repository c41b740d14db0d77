"""The removal table against one written by hand, and what reads it."""

import pytest
import torch
from srp_models import WORDS, batch, busy, logits, select_units, srp, switch_off

from fairseq_prune.pruning.surgery.cut import cut_state, cut_statistics, cut_tensor, entries, replace_values
from fairseq_prune.pruning.surgery.table import (
    Owner,
    build_table,
    entries_of,
    lengths_of,
    owned_elements,
    shortest_axis,
    unit_norms,
)

ONE = {"encoder_layers": 1, "decoder_layers": 1, "encoder_embed_dim": 8, "encoder_ffn_embed_dim": 6}
ONE |= {"decoder_embed_dim": 8, "decoder_ffn_embed_dim": 4, "decoder_attention_heads": 2}
E, D = "encoder.layers.0", "decoder.layers.0"
BY_HAND = {  # vector: "entry axis" of all that it owns, itself first
    "encoder.embedding_c": f"""encoder.embedding_c 0  encoder.pos_emb_mask 0  encoder.embed_tokens.weight 1
        {E}.self_attn.q_proj.weight 1  {E}.self_attn.k_proj.weight 1  {E}.self_attn.v_proj.weight 1
        {E}.self_attn.out_proj.weight 0  {E}.self_attn.out_proj.bias 0  {E}.self_attn_layer_norm.weight 0
        {E}.self_attn_layer_norm.bias 0  {E}.fc1.weight 1  {E}.fc2.weight 0  {E}.fc2.bias 0
        {E}.final_layer_norm.weight 0  {E}.final_layer_norm.bias 0
        {D}.encoder_attn.k_proj.weight 1  {D}.encoder_attn.v_proj.weight 1""",
    "decoder.embedding_c": f"""decoder.embedding_c 0  decoder.pos_emb_mask 0  decoder.embed_tokens.weight 1
        decoder.output_projection.weight 1
        {D}.self_attn.q_proj.weight 1  {D}.self_attn.k_proj.weight 1  {D}.self_attn.v_proj.weight 1
        {D}.self_attn.out_proj.weight 0  {D}.self_attn.out_proj.bias 0  {D}.self_attn_layer_norm.weight 0
        {D}.self_attn_layer_norm.bias 0  {D}.encoder_attn.q_proj.weight 1  {D}.encoder_attn.out_proj.weight 0
        {D}.encoder_attn.out_proj.bias 0  {D}.encoder_attn_layer_norm.weight 0  {D}.encoder_attn_layer_norm.bias 0
        {D}.fc1.weight 1  {D}.fc2.weight 0  {D}.fc2.bias 0
        {D}.final_layer_norm.weight 0  {D}.final_layer_norm.bias 0""",
}  # fmt: skip
for layer in (E, D):
    BY_HAND[f"{layer}.fc_c"] = f"{layer}.fc_c 0  {layer}.fc1.weight 0  {layer}.fc1.bias 0  {layer}.fc2.weight 1"
for a in (f"{E}.self_attn", f"{D}.self_attn", f"{D}.encoder_attn"):
    BY_HAND[f"{a}_qk_c"] = f"{a}_qk_c 0  {a}.q_proj.weight 0  {a}.q_proj.bias 0  {a}.k_proj.weight 0  {a}.k_proj.bias 0"
    BY_HAND[f"{a}_vo_c"] = f"{a}_vo_c 0  {a}.v_proj.weight 0  {a}.v_proj.bias 0  {a}.out_proj.weight 1"


def by_hand(vector):
    words = BY_HAND[vector].split()
    return list(zip(words[::2], map(int, words[1::2]), strict=True))


def cut_by_hand(name, value, keep):
    for vector, kept in keep.items():
        for axis in (axis for entry, axis in by_hand(vector) if entry == name):
            value = value.movedim(axis, 0)[kept].movedim(0, axis)
    return value


@pytest.mark.parametrize("sharing", [{}, {"share_decoder_input_output_embed": True}])
def test_table_is_the_one_written_by_hand(sharing):
    model = srp(**ONE, **sharing)
    assert {v.name: set(entries_of(model.table, v.name)) for v in model.vectors} == {
        vector: set(by_hand(vector)) for vector in BY_HAND
    }
    owned = {name: {owner.axis for owner in owners} for name, owners in model.table.items()}
    words = {f"{side}.embed_tokens.weight" for side in ("encoder", "decoder")} | {"decoder.output_projection.weight"}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        assert owned[name] == ({1} if name in words else set(range(parameter.dim())))


def test_shared_embeddings_have_one_width():
    model = srp(**ONE, share_all_embeddings=True)
    both = set(by_hand("encoder.embedding_c")) | set(by_hand("decoder.embedding_c"))
    assert set(entries_of(model.table, "encoder.embedding_c")) == both - {("decoder.embedding_c", 0)}
    assert entries_of(model.table, "decoder.embedding_c") == []
    assert "decoder.embedding_c" not in {*model.connectivity, *model.state_dict()}


def perturb(model, name, axis, unit):
    """Change what a unit owns of an entry; returns a function that undoes it."""
    value = entries(model)[name].data
    along, before = value.movedim(axis, 0), value.clone()
    if value.is_floating_point():
        along[unit] += torch.randn(along[unit].shape, dtype=value.dtype, generator=torch.Generator().manual_seed(3))
    else:
        along[unit] = (along[unit] + 3) % len(along)
    return lambda: value.copy_(before)


@pytest.mark.parametrize("sharing, weighted", [({}, True), ({}, False), ({"share_all_embeddings": True}, True)])
def test_a_dead_unit_owns_just_what_is_listed(sharing, weighted):
    """Every entry of every vector, with its first unit dead and the second alive."""
    model = busy(srp(**ONE, activation_fn="gelu", **sharing))
    model.ask_layer_norm(weighted)
    for vector in model.vectors:
        keep = torch.ones(vector.length, dtype=torch.bool)
        keep[0] = False
        switch_off(model, {vector.name: keep})
        dead = logits(model)
        for name, axis in entries_of(model.table, vector.name):
            undo = perturb(model, name, axis, 0)
            if name != vector.name:
                assert (logits(model) - dead).abs().max() < 1e-12, name
            undo()
            undo = perturb(model, name, axis, 1)
            # softmax ignores a bias of all keys; positions of an uncut model are not gathered
            if not name.endswith(("k_proj.bias", "pos_emb_mask")):
                model.refresh()
                assert (logits(model) - dead).abs().max() > 1e-4, name
            undo()
        switch_off(model, {vector.name: torch.ones(vector.length)})


@pytest.mark.parametrize("weighted", [True, False])
def test_every_unit_owns_what_is_listed(weighted):
    model = busy(srp(**ONE))
    model.ask_layer_norm(weighted)
    alive = logits(model)
    for vector in model.vectors:
        for unit in range(vector.length):
            switch_off(model, {vector.name: torch.arange(vector.length) != unit})
            dead = logits(model)
            undo = [perturb(model, name, axis, unit) for name, axis in by_hand(vector.name)[1:]]
            assert (logits(model) - dead).abs().max() < 1e-12
            [back() for back in undo]
        switch_off(model, {vector.name: torch.ones(vector.length)})
    assert (logits(model) - alive).abs().max() < 1e-12


TABLE = {"a": (Owner(0, "v"), Owner(1, "w")), "b": (Owner(0, "w"),)}


def test_lengths_come_from_shapes():
    assert lengths_of(TABLE, {"a": (2, 3), "b": (3,), "c": (9,)}) == {"v": 2, "w": 3}
    assert lengths_of(TABLE, {"b": (3, 7)}) == {"w": 3}
    with pytest.raises(ValueError, match="b has 4 along axis 0, but a has 3 units of w"):
        lengths_of(TABLE, {"a": (2, 3), "b": (4,)})


def test_a_row_names_whole_entries():
    from fairseq_prune.pruning.surgery.table import Owns

    rows = [Owns(r"\1.c", r"(\w+)\.weight", 1), Owns("d", r"x\.weight", 0)]
    assert build_table(rows, ["x.weight", "x.weight_g", "a.x.weight"]) == {"x.weight": (Owner(1, "x.c"), Owner(0, "d"))}
    assert build_table(rows, ["y.weight"], {"y.c": "z"}) == {"y.weight": (Owner(1, "z"),)}


def test_owned_elements_and_norms_by_brute_force():
    model = busy(srp(**ONE))
    keep = select_units(model, ("residual", "neuron"))
    for name, value in model.state_dict().items():
        expected = torch.zeros(value.shape, dtype=torch.bool)
        touched = False
        for vector, kept in keep.items():
            for axis in (axis for entry, axis in by_hand(vector) if entry == name):
                touched = True
                for unit in (~kept).nonzero():
                    expected.movedim(axis, 0)[unit] = True
        owned = owned_elements(value.shape, model.table.get(name, ()), {n: ~kept for n, kept in keep.items()})
        assert torch.equal(owned, expected) if touched else owned is None
    parameters = dict(model.named_parameters())
    weights = {name: parameter.tolist() for name, parameter in parameters.items()}
    for vector in model.vectors:
        expected = [0.0] * vector.length
        for name, axis in by_hand(vector.name):
            for row, values in enumerate(weights.get(name, ())):
                for column, value in enumerate(values if isinstance(values, list) else [values]):
                    expected[column if axis else row] += value**2
        norms = unit_norms(model.table, parameters, vector.name)
        assert norms.tolist() == pytest.approx([total**0.5 for total in expected], rel=1e-5)


def test_the_axis_along_which_least_stays():
    owners = Owner(0, "rows"), Owner(1, "columns", torch.tensor([0, 0, 1, 1, -1, 2]))
    rows, columns = torch.tensor([True, False, False, False]), torch.tensor([False, True, True])
    axis, kept = shortest_axis((4, 6), owners, {"rows": rows, "columns": columns})
    assert (axis, kept.tolist()) == (1, [0, 1, 4])  # three of six, where three of four rows stay
    axis, kept = shortest_axis((4, 6), owners, {"rows": rows})
    assert (axis, kept.tolist()) == (0, [1, 2, 3])
    assert shortest_axis((4, 6), owners, {"others": rows}) is None


def test_cut_tensor_leaves_whole_ones_alone():
    tensor = torch.arange(6.0).view(2, 3)
    keep = torch.tensor([True, False, True])
    assert cut_tensor(tensor, (Owner(0, "v"), Owner(1, "w")), {"w": keep}).tolist() == [[0, 2], [3, 5]]
    assert cut_tensor(tensor, (Owner(1, "w"),), {"w": torch.ones(3, dtype=torch.bool), "v": keep}) is tensor
    assert cut_tensor(tensor, (), {"w": keep}) is tensor


def test_only_values_of_another_shape_are_replaced():
    layer = torch.nn.Linear(3, 2)
    before, places = list(layer.parameters()), [p.data_ptr() for p in layer.parameters()]
    layer(torch.ones(3)).sum().backward()
    replace_values(layer, {"weight": torch.zeros(2, 3), "bias": torch.tensor([7.0])})
    assert all(a is b for a, b in zip(before, layer.parameters(), strict=True))
    assert layer.weight.data_ptr() == places[0] and layer.weight.any() and layer.weight.grad is not None
    assert layer.bias.tolist() == [7] and layer.bias.grad is None


def train(model, optimizer, steps=3):
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        optimizer.step()


def cut_all(model, optimizer, keep):
    for name, parameter in model.named_parameters():
        cut_statistics(optimizer.state[parameter], parameter.shape, model.table[name], keep)
    replace_values(model, cut_state(entries(model), model.table, keep))
    model.refresh()


@pytest.mark.parametrize("sharing", [{}, {"share_decoder_input_output_embed": True}])
def test_cutting_in_place(sharing):
    """Parameters stay the same objects, moments are the old ones sliced, and training goes on."""
    model = busy(srp(**ONE, **sharing))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train(model, optimizer)
    keep = select_units(model, ("residual", "qk", "vo", "neuron"))
    switch_off(model, keep)
    before, expected, old = dict(model.named_parameters(remove_duplicate=False)), logits(model), {}
    for name, parameter in before.items():
        old[name] = parameter.detach().clone(), {k: v.clone() for k, v in optimizer.state[parameter].items()}
    cut_all(model, optimizer, keep)

    assert (logits(model) - expected).abs().max() < 1e-10
    assert sum(p.numel() for p in model.parameters()) < 0.5 * sum(len(v.view(-1)) for v, _ in old.values())
    for name, parameter in model.named_parameters(remove_duplicate=False):
        assert parameter is before[name] and parameter.requires_grad and parameter.is_leaf and parameter.grad is None
        value, state = old[name]
        assert torch.equal(parameter, cut_by_hand(name, value, keep))
        for moment in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(optimizer.state[parameter][moment], cut_by_hand(name, state[moment], keep))
        assert optimizer.state[parameter]["step"] == state["step"] == 3
    assert model.decoder.output_projection.in_features == model.decoder.output_projection.weight.shape[1] < 8
    assert (model.decoder.output_projection.weight is model.decoder.embed_tokens.weight) == bool(sharing)
    values = [p.clone() for p in model.parameters()]
    train(model, optimizer, 1)
    assert not any(torch.equal(a, b) for a, b in zip(values, model.parameters(), strict=True) if a.numel())
    model(*batch())[0].sum().backward()


def test_statistics_of_another_shape_are_forgotten():
    from fairseq.optim.adafactor import Adafactor

    model = busy(srp(**ONE)).float()
    optimizer = Adafactor(model.parameters())
    train(model, optimizer)
    keep = {"encoder.embedding_c": torch.arange(8) % 2 > 0}
    cut_all(model, optimizer, keep)
    parameters = dict(model.named_parameters())
    assert optimizer.state[parameters[f"{E}.fc1.weight"]] == {}
    assert optimizer.state[parameters[f"{D}.encoder_attn.out_proj.weight"]]["step"] == 3  # nothing of it has left
    vector = optimizer.state[parameters[f"{E}.fc2.bias"]]
    assert vector["step"] == 3 and vector["exp_avg_sq"].shape == parameters[f"{E}.fc2.bias"].shape == (4,)
    train(model, optimizer, 1)
    assert len(optimizer.state[parameters[f"{E}.fc1.weight"]]["exp_avg_sq_row"]) == 6
    assert WORDS == len(parameters["encoder.embed_tokens.weight"])
