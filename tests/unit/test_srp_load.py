"""What SRP architectures load, what they refuse, and in which layer-norm mode they end up."""

from types import SimpleNamespace

import pytest
import torch
from srp_models import STAGES, batch, busy, cut_copy, logits, select_units, srp, stock, switch_off
from torch import nn

from fairseq_prune.families.transformer.unsupported import UNSUPPORTED
from fairseq_prune.pruning.masks import METADATA_KEY, pack_mask, stored_masks
from fairseq_prune.pruning.surgery.cut import cut_state

ALL = STAGES[0]


def whole():
    return busy(srp())


def half_shrunk():
    model = busy(srp())
    for i, connectivity in enumerate(model.connectivity.values()):
        connectivity.vector[i % 3 :: 3] = 0.25
    model.refresh()
    return model


def cut(kinds=ALL):
    model = busy(srp())
    keep = select_units(model, kinds)
    return cut_copy(switch_off(model, keep), keep)


@pytest.mark.parametrize("make", [whole, half_shrunk, cut])
@pytest.mark.parametrize("into", [whole, half_shrunk, cut])
def test_round_trip(make, into):
    """Invariant 11: whatever a model of these options is, it becomes what it loads."""
    model, other = make(), into()
    with torch.no_grad():
        model.encoder.layers[0].final_layer_norm.bias += 1  # so that none is like another
    before = dict(other.named_parameters(remove_duplicate=False))
    assert (logits(other) - logits(model)).abs().max() > 0.01
    other.load_state_dict(model.state_dict())
    assert (logits(other) - logits(model)).abs().max() < 1e-12
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in other.state_dict().items())
    for name, parameter in other.named_parameters(remove_duplicate=False):
        assert parameter is before[name] and parameter.requires_grad
    assert all(c.idle == bool((c.vector == 1).all()) for c in other.connectivity.values())
    other(*batch())[0].sum().backward()


def test_a_stock_checkpoint_resets_connectivity():
    model, theirs = cut(), busy(stock())
    model.load_state_dict(theirs.state_dict())
    assert (logits(model) - logits(theirs)).abs().max() < 1e-10
    assert all(
        c.idle and len(c.vector) == v.length for c, v in zip(model.connectivity.values(), model.vectors, strict=True)
    )
    assert model.encoder.pos_emb_mask.tolist() == list(range(16))


def test_checkpoints_of_old_fairseq():
    """One matrix for q, k and v, numbered layer norms, and stored positions."""
    theirs = busy(stock())
    old = dict(theirs.state_dict())
    for name in [name for name in old if "q_proj" in name]:
        parts = [old.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        old[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    for i in range(2):
        for side, norms in (("encoder", ("self_attn", "final")), ("decoder", ("self_attn", "encoder_attn", "final"))):
            for j, norm in enumerate(norms):
                for part in ("weight", "bias"):
                    layer = f"{side}.layers.{i}"
                    old[f"{layer}.layer_norms.{j}.{part}"] = old.pop(f"{layer}.{norm}_layer_norm.{part}")
    old |= {
        "encoder.embed_positions._float_tensor": torch.ones(1),
        "decoder.embed_positions.weights": torch.ones(9, 16),
    }
    del old["encoder.version"], old["decoder.version"]
    for model in (srp().double(), stock().double()):  # stock fairseq can, too
        model.load_state_dict(dict(old))
        assert (logits(model) - logits(theirs)).abs().max() < 1e-10


def widen(*names, axis=0, by=2):
    def change(state):
        for name in names:
            shape = list(state[name].shape)
            shape[axis] = by
            state[name] = torch.cat([state[name], torch.zeros(shape, dtype=state[name].dtype)], axis)

    return change


LAYER = "encoder.layers.0"
FOREIGN = {  # changed state: what is said
    "wider block": (
        widen(f"{LAYER}.fc1.weight", f"{LAYER}.fc1.bias", f"{LAYER}.fc_c"),
        f"{LAYER}.fc2.weight has 24 along axis 1, but {LAYER}.fc1.weight has 26 units",
    ),
    "heads of unequal width": (
        lambda state: [state.update(cut_state(state, srp().table, {f"{LAYER}.self_attn_qk_c": torch.arange(16) > 0}))],
        f"15 units of {LAYER}.self_attn_qk_c, this architecture 16 in 2 head",
    ),
    "norm": (widen(f"{LAYER}.final_layer_norm.bias"), f"{LAYER}.final_layer_norm.bias has 18 along axis 0, but"),
    "dictionary": (widen("decoder.embed_tokens.weight"), r"decoder.embed_tokens.weight has shape \(38, 16\) in the"),
    "output": (widen("decoder.output_projection.weight"), r"\(38, 16\) in the checkpoint, \(36, 16\) in this model"),
    "dimensions": (lambda state: state.update({f"{LAYER}.fc1.weight": torch.ones(24)}), r"has shape \(24,\) in the ch"),
    "positions": (widen("encoder.pos_emb_mask"), "encoder.pos_emb_mask has 18 along axis 0|has 16 along axis"),
}


@pytest.mark.parametrize("change", FOREIGN)
def test_foreign_shapes_are_refused(change):
    apply, message = FOREIGN[change]
    model, state = whole(), dict(whole().state_dict())
    expected = logits(model)
    apply(state)
    with pytest.raises(SystemExit, match=message) as caught:
        model.load_state_dict(state)
    assert "\n" not in caught.value.code
    assert (logits(model) - expected).abs().max() < 1e-12


@pytest.mark.parametrize(
    "options, vector, theirs, ours",
    [
        ({"encoder_ffn_embed_dim": 32}, "encoder.layers.0.fc_c", 32, 24),
        ({"decoder_embed_dim": 20}, "decoder.embedding_c", 20, 16),
        ({"decoder_ffn_embed_dim": 12}, "decoder.layers.0.fc_c", 12, 20),
        ({"encoder_embed_dim": 8}, "encoder.embedding_c", 8, 16),
    ],
)
def test_stock_checkpoints_of_other_widths_are_refused(options, vector, theirs, ours):
    """Narrower ones too: which dimensions their positions belong to is unknown. Without stock, only wider ones."""
    message = f"the checkpoint has {theirs} units of {vector}, this architecture {ours}.*; repeat the architecture"
    model = whole()
    with pytest.raises(SystemExit, match=message) as caught:
        model.load_state_dict(stock(**options).state_dict())
    assert "\n" not in caught.value.code
    if theirs > ours:
        with pytest.raises(SystemExit, match=message):
            model.load_state_dict(srp(**options).state_dict())


def test_what_is_missing_or_too_much_is_named():
    state = dict(whole().state_dict())
    del state[f"{LAYER}.fc1.bias"]
    with pytest.raises(RuntimeError, match=f"Missing key.*{LAYER}.fc1.bias"):
        whole().load_state_dict(state)
    with pytest.raises(RuntimeError, match="Unexpected key.*encoder.layers.2.fc1.bias"):
        whole().load_state_dict(srp(encoder_layers=3).state_dict())
    assert whole().load_state_dict({}, strict=False).missing_keys


def test_inside_another_module():
    """No prefix is read, so shapes have to be those of the model."""
    model, outer = whole(), nn.ModuleDict({"inner": srp().double()})
    state = {f"inner.{name}": value for name, value in model.state_dict().items()}
    outer.load_state_dict(state)
    assert (logits(outer["inner"]) - logits(model)).abs().max() < 1e-12
    state["inner.encoder.embedding_c"] = torch.ones(8)
    with pytest.raises(RuntimeError, match="size mismatch"):
        outer.load_state_dict(state)


FLAGS = {None: {}, True: {"weighted_layernorm": True}, False: {"srp_plain_layernorm": True}}


def norms_of(model):
    modes = {bool(model.weighted_layer_norm)}
    modes |= {module.weighted for module in model.modules() if hasattr(module, "weighted")}
    assert len(modes) == 1
    return modes.pop()


@pytest.mark.parametrize("asked", FLAGS)
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("make", [whole, half_shrunk, cut])
def test_layer_norm_mode(make, stored, asked):
    """As in the checkpoint, unless a flag says otherwise and the checkpoint is not cut."""
    state = dict(make().state_dict())
    state["weighted_layer_norm"] = torch.tensor(int(stored))
    model = srp(**FLAGS[asked]).double()
    assert norms_of(model) == (asked is not False)
    if make is not whole and asked is not None and asked != stored:
        option, mode = ("--weighted-layernorm", "plain") if asked else ("--srp-plain-layernorm", "weighted")
        with pytest.raises(SystemExit, match=f"^{option}: the checkpoint was pruned with {mode} layer norm"):
            model.load_state_dict(state)
        assert norms_of(model) == asked
        return
    model.load_state_dict(state)
    assert norms_of(model) == (stored if asked is None else asked)
    again = srp().double()
    again.load_state_dict(model.state_dict())
    assert norms_of(again) == norms_of(model) and (logits(again) - logits(model)).abs().max() < 1e-12


def test_stock_weights_take_the_mode_of_the_model():
    for asked, flags in FLAGS.items():
        model = srp(**flags)
        model.load_state_dict(stock().state_dict())
        assert norms_of(model) == (asked is not False)
    with pytest.raises(SystemExit, match="^--weighted-layernorm and --srp-plain-layernorm: give one"):
        srp(weighted_layernorm=True, srp_plain_layernorm=True)


VALUES = {"quant_noise_pq": 0.1, "base_layers": 2, "adaptive_softmax_cutoff": "9,12", "quant_noise_scalar": 0.5}


@pytest.mark.parametrize("option", [*UNSUPPORTED, "decoder_input_dim", "decoder_output_dim"])
def test_unsupported_options_are_refused(option):
    value = VALUES.get(option, 8 if option.endswith("dim") else "{}" if option.endswith("config") else True)
    with pytest.raises(SystemExit, match=f"^--{option.replace('_', '-')} {value}: ") as caught:
        srp(**{option: value})
    assert "\n" not in caught.value.code
    srp(**{option: 16 if option.endswith("dim") else 0 if isinstance(value, (bool, int, float)) else None})


def test_dead_units_are_cut_on_loading_if_wanted():
    model = busy(srp())
    keep = select_units(model, ALL)
    switch_off(model, keep)
    model.connectivity[f"{LAYER}.fc_c"].vector[keep[f"{LAYER}.fc_c"]] = 0.5  # shrinks, but lives
    model.refresh()
    expected = logits(model)
    wide, narrow = srp().double(), srp().double()
    narrow.cuts_on_load = True
    for other in (wide, narrow, narrow):
        other.load_state_dict(model.state_dict())
        assert (logits(other) - expected).abs().max() < 1e-10
    assert sum(p.numel() for p in wide.parameters()) == sum(p.numel() for p in model.parameters())
    for name, value in cut_state(model.state_dict(), model.table, keep).items():
        assert torch.equal(narrow.state_dict()[name], value)
    assert narrow.connectivity[f"{LAYER}.fc_c"].vector.tolist() == [0.5] * 12
    assert len(model.encoder.embedding_c) == 16  # what was loaded is as it was


def test_masks_are_cut_along():
    model, name = busy(srp()), f"{LAYER}.fc1.weight"
    keep = select_units(model, ALL)
    state = switch_off(model, keep).state_dict()
    mask = torch.rand(24, 16, generator=torch.Generator().manual_seed(1)) < 0.5
    state._metadata[""][METADATA_KEY] = {name: pack_mask(mask)}
    narrow = srp().double()
    narrow.cuts_on_load = True
    for _ in range(2):  # the second time they are cut already
        narrow.load_state_dict(state)
        assert torch.equal(stored_masks(state)[name], mask[keep[f"{LAYER}.fc_c"]][:, keep["encoder.embedding_c"]])


@pytest.mark.parametrize("make", [half_shrunk, cut])
@pytest.mark.parametrize("fp32", [False, True])
def test_moving_averages(make, fp32):
    """Weights are averaged; connectivity, the mode and positions are copied."""
    from fairseq.models.ema.ema import EMA

    model = make()
    config = SimpleNamespace(ema_decay=0.9, ema_start_update=0, ema_fp32=fp32, ema_seed_model=None, ema_update_freq=1)
    average = EMA(model, config)
    twin = average.get_model()
    assert (logits(twin) - logits(model)).abs().max() < 1e-12
    before = twin.state_dict()[f"{LAYER}.fc2.bias"].clone()
    with torch.no_grad():
        model.encoder.layers[0].fc2.bias *= -1
    model.connectivity[f"{LAYER}.fc_c"].vector[1] = 0
    model.refresh()
    for _ in range(2):
        average.step(model, 5)
    after = twin.state_dict()
    assert torch.allclose(after[f"{LAYER}.fc2.bias"], 0.62 * before, atol=1e-6)
    for name, value in model.state_dict().items():
        if name in model.connectivity or not value.is_floating_point():
            assert torch.equal(after[name], value), name
    assert not twin.connectivity[f"{LAYER}.fc_c"].idle and (logits(twin) - logits(model)).abs().max() > 1e-3
    with torch.no_grad():
        twin.encoder.layers[0].fc2.bias.copy_(model.encoder.layers[0].fc2.bias)
    assert (logits(twin) - logits(model)).abs().max() < (1e-5 if fp32 else 1e-12)
