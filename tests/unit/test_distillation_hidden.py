"""What the hidden states of a teacher's layers add to the loss of a student."""

import contextlib

import fairseq  # noqa: F401  (before fairseq_prune, which then registers itself)
import pytest
import torch
from taught import PAD, loss_of, sentences, small_model

from fairseq_prune.distillation.hidden import States, hidden_distance, matched, watched


def test_layers_are_matched_evenly():
    assert [matched(n, 6) for n in (1, 2, 3, 4, 6)] == [[5], [2, 5], [1, 3, 5], [1, 2, 4, 5], [0, 1, 2, 3, 4, 5]]
    assert matched(6, 3) == [0, 0, 1, 1, 2, 2]


def test_hidden_states_by_hand():
    """A student of one encoder layer and one decoder layer, a teacher of four and two."""
    student = small_model(1, encoder_layers=1)
    teacher = small_model(2, encoder_layers=4, decoder_layers=2)
    loss, log = loss_of(student, teacher, weight=0.0, hidden=3.0)
    seen = {}
    for name, model in (("mine", student), ("theirs", teacher)):
        with watched(model) as seen[name]:
            model(**sentences()["net_input"])
    mine, theirs = seen["mine"], seen["theirs"]
    assert len(theirs) == 6 and len(mine) == 2
    pairs = [(("encoder.layers", 0), ("encoder.layers", 3)), (("decoder.layers", 0), ("decoder.layers", 1))]
    squares = [(mine[a].values - theirs[b].values).square().mean(-1).t() for a, b in pairs]
    expected = 3 * (squares[0].sum() + squares[1][sentences()["target"] != PAD].sum()) / 2
    assert log["kd_hidden"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert "kd_loss" not in log and loss.item() == pytest.approx(loss_of(student)[0].item() + expected.item(), rel=1e-5)
    loss.backward()
    assert student.encoder.layers[0].fc1.weight.grad.any()


def test_hidden_states_of_layers_that_are_told_by_place():
    """As those of speech models; also where activations are checkpointed, which wraps a layer's forward."""
    layer, padding = small_model(1).encoder.layers[0], torch.tensor([[False, False, False], [False, False, True]])
    model, states = torch.nn.Module(), torch.randn(3, 2, 16)
    model.layers = torch.nn.ModuleList([layer])
    plain = layer.forward
    for forward in (plain, lambda *args, **named: plain(*args, **named)):
        layer.forward = forward
        with watched(model) as seen:
            layer(states, padding)
            assert seen["layers", 0].padding is padding
            layer(states, encoder_padding_mask=None)
            assert seen["layers", 0].padding is None


def test_a_batch_whose_layers_are_all_dropped():
    student = small_model(1, encoder_layerdrop=1.0, decoder_layerdrop=1.0)
    loss, log = loss_of(student, small_model(2), weight=0.0, hidden=1.0)
    assert log["kd_hidden"] == 0 and loss.item() == pytest.approx(log["loss"].item())
    for dtype, wide in ((torch.float16, torch.float32), (torch.float64, torch.float64)):
        theirs = {("layers", 0): States(torch.empty(3, 2, 16, device="meta", dtype=dtype), None)}
        nothing = hidden_distance({}, theirs, {"layers": [0]})
        assert (nothing.shape, nothing.device.type, nothing.dtype) == ((), "meta", wide)


def test_dropped_layers_leave_the_others_their_places_and_the_run_its_lots():
    """A stack with LayerDrop draws lots whenever it is iterated over, and hands out those layers only that win."""
    student, sizes = small_model(1, encoder_layers=4, encoder_layerdrop=0.5).train(), set()
    for seed in range(4):
        torch.manual_seed(seed)
        student(**sentences()["net_input"])
        lots, ran = torch.get_rng_state(), {}
        torch.manual_seed(seed)
        with contextlib.ExitStack() as hooks, watched(student) as seen:
            for number, layer in student.encoder.layers.named_children():
                note = layer.register_forward_hook(lambda _, args, out, n=int(number), ran=ran: ran.update({n: out}))
                hooks.callback(note.remove)
            student(**sentences()["net_input"])
        assert torch.equal(torch.get_rng_state(), lots)
        assert {n: states.values for (stack, n), states in seen.items() if stack == "encoder.layers"} == ran
        sizes.add(len(ran))
    assert len(sizes) > 1 and min(sizes) < 4


@pytest.mark.parametrize(
    "arch, options, message",
    [
        ("transformer", {"encoder_embed_dim": 32, "decoder_embed_dim": 32}, "width|channels"),
        ("lstm", {"encoder_layers": 1, "decoder_out_embed_dim": 16}, "no stacks of Transformer layers in common"),
    ],
)
def test_hidden_states_that_cannot_be_compared(arch, options, message):
    with pytest.raises(ValueError, match=f"^--prune-kd-hidden 1.0: .*({message}).*; leave it out"):
        loss_of(small_model(1), small_model(2, arch, **options), hidden=1.0)
