"""Freezing and shrinking beside every kind of fairseq optimizer, by given gradients and scores."""

import pytest
import torch
from fairseq import optim
from srp_diary import owned, selected_of
from srp_models import srp
from test_masters import KINDS, WITH_MASTERS, config

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.plan import Plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.methods import shrinking
from fairseq_prune.optim.masters import homes, values_of
from fairseq_prune.pruning.times import Position

pytestmark = pytest.mark.filterwarnings("ignore:.*GradScaler.*")


def plan_of(updates=5, rounds=1, **options):
    approach = {"approach": {"srp_pruning_updates": updates}}
    return make_plan({"method": "srp", "target": 0.6, "steps": rounds, **approach, **options})


PLAN = plan_of()


class Training:
    """A model, the optimizer of a kind, and a pruner, in the order of fairseq's trainer."""

    def __init__(self, kind="adam", plan=PLAN, **options):
        settings, switches, wrapper, _ = KINDS[kind]
        self.model, cfg = srp(share_decoder_input_output_embed=True), config(settings, switches)
        gather = lambda model, kind, event: {name: -score for name, score in self.scores().items()}  # noqa: E731
        self.pruner = Pruner(self.model, plan, gather=gather, **options)
        if cfg.common.fp16:
            self.model.half()
        build = wrapper.build_optimizer if wrapper else lambda cfg, p: optim.build_optimizer(cfg.optimizer, p)
        self.optimizer = build(cfg, list(self.model.parameters()))
        self.generator = torch.Generator().manual_seed(1)
        self.updates = 0

    def random(self, like):
        return torch.randn(like.shape, generator=self.generator).to(like)

    def scores(self):
        return {name: self.random(c.vector.float()) for name, c in self.model.connectivity.items()}

    def values(self):
        masters = homes(self.optimizer)
        return {n: [v.clone() for v in values_of(p, masters)] for n, p in self.model.named_parameters()}

    def begin(self):
        self.pruner.before_update(self.optimizer, Position(0, self.updates))
        return {name: c.vector.clone() for name, c in self.model.connectivity.items()}

    def finish(self, clip=0.0):
        """Returns the norm of the gradients."""
        self.optimizer.zero_grad()
        self.optimizer.backward(sum((p * self.random(p)).sum().float() for p in self.model.parameters()))
        self.pruner.after_backward()
        norm = self.optimizer.clip_grad_norm(clip)
        self.pruner.before_step(self.optimizer)
        self.optimizer.step()
        self.pruner.after_step(self.optimizer, Position(0, self.updates))
        self.updates += 1
        return norm


@pytest.fixture
def training(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: None)  # flat masters sit on the CPU here
    return Training


@pytest.mark.parametrize("kind", KINDS)
def test_selected_units_are_held_wherever_they_are_kept(training, kind):
    """In the model and in its fp32 masters, before the last update; only without masters does it end in a cut."""
    run = training(kind)
    before, table, sizes = run.values(), run.model.table, run.model.original_shapes
    for update in range(1, 5):
        connectivity = run.begin()
        removed = {name: c != 1 for name, c in connectivity.items()}
        value = torch.tensor(1 - update / 5).to(next(run.model.parameters()))
        assert all((c[removed[name]] == value).all() for name, c in connectivity.items())
        last = run.values()
        run.finish()
        for name, tensors in run.values().items():
            held = owned(table, name, sizes[name], removed)
            assert len(tensors) == (2 if kind in WITH_MASTERS else 1) and held.any() and not held.all()
            for now, then, first in zip(tensors, last[name], before[name], strict=True):
                assert torch.equal(now[held], first[held]), name
                assert (now != then)[~held].float().mean() > 0.5, name
    assert all((c[removed[name]] == 0).all() for name, c in run.begin().items())
    run.finish()
    lengths = {name: len(c.vector) for name, c in run.model.connectivity.items()}
    if kind in WITH_MASTERS:
        assert lengths == {name: len(c) for name, c in removed.items()}
        assert all(torch.equal(c.vector == 0, removed[name]) for name, c in run.model.connectivity.items())
    else:
        assert lengths == {name: int((~c).sum()) for name, c in removed.items()}
    assert not run.pruner.pending
    run.begin()
    run.finish()


def test_gradients_of_held_units_do_not_count(training):
    """In the norm that --clip-norm compares."""
    run, free = training(), training(plan=Plan())
    removed = {name: c != 1 for name, c in run.begin().items()}
    assert free.begin() and not free.pruner.pending
    shapes = {name: p.shape for name, p in run.model.named_parameters()}
    held = sum(int(owned(run.model.table, name, shape, removed).sum()) for name, shape in shapes.items())
    share = held / sum(shape.numel() for shape in shapes.values())
    for training_run in (run, free):
        training_run.generator.manual_seed(2)
    assert 0.3 < share < 0.9 and (run.finish() / free.finish()) ** 2 == pytest.approx(1 - share, abs=0.02)


def test_moments_of_held_units_are_normal_numbers(training):
    """Zeros and denormals slow Adam's square root down; these are still nothing beside the others."""
    run = training()
    removed = {name: c != 1 for name, c in run.begin().items()}
    run.finish()
    for name, parameter in run.model.named_parameters():
        moment = run.optimizer.optimizer.state[parameter]["exp_avg_sq"]
        held = owned(run.model.table, name, moment.shape, removed)
        assert held.any() and moment[held].min() >= torch.finfo(torch.float32).tiny and moment[held].max() < 1e-18
        assert moment[~held].mean() > 0.01


@pytest.mark.parametrize("options", [{"averaged": True}, {}])
def test_uncut_units_do_not_come_back(training, options):
    """Rounds without a cut select among the living, and leave the widths of rounds with one."""
    run = training(plan=plan_of(updates=2, rounds=3), **options)
    alive = []
    for _ in range(7):
        run.begin()
        run.finish()
        alive.append({name: int((c.vector != 0).sum()) for name, c in run.model.connectivity.items()})
    widths = [now["encoder.embedding_c"] for now in alive]
    assert widths[0] == 16 and widths == sorted(widths, reverse=True) and len(set(widths)) == 4
    uncut = {len(c.vector) for name, c in run.model.connectivity.items() if name == "encoder.embedding_c"} == {16}
    assert uncut == bool(options)
    assert widths[-1] == expected_width()


def test_units_of_earlier_rounds_are_held_too(training):
    """Their multiplier of 0 would not show in gradients that are formed by the products."""
    run = training(plan=plan_of(updates=2, rounds=2), averaged=True)
    for _ in range(2):
        run.begin()
        run.finish()
    gone = {name: c == 0 for name, c in run.begin().items()}
    before = run.values()
    run.finish()
    for name, (now,) in run.values().items():
        held = owned(run.model.table, name, now.shape, gone)
        assert held.any() and torch.equal(now[held], before[name][0][held]), name


def test_what_loses_nothing_is_not_held(training, monkeypatch):
    """Embeddings are large, and no width of theirs is removed here."""
    seen, hold = [], shrinking.HeldElements
    monkeypatch.setattr(shrinking, "HeldElements", lambda where, values: seen.extend(where) or hold(where, values))
    run = training(plan=plan_of(units="width:qk", target=0.1))
    gone = {name: c != 1 for name, c in run.begin().items()}
    lose = {n for n, p in run.model.named_parameters() if owned(run.model.table, n, p.shape, gone).any()}
    assert {n for n, p in run.model.named_parameters() if any(p is held for held in seen)} == lose
    assert {name.split(".")[-2] for name in lose} == {"q_proj", "k_proj"}


def expected_width():
    once = Training()
    for _ in range(5):
        once.begin()
        once.finish()
    return len(once.model.connectivity["encoder.embedding_c"].vector)


def test_state_is_plain_and_complete(training):
    """A pruner that takes it up selects nothing anew and ends alike."""
    run, other = training(), training()
    for _ in range(2):
        run.begin()
        run.finish()
    state = run.pruner.state()
    other.pruner.load_state(state)
    other.updates = 2
    other.scores = None  # not asked for
    for name, c in run.begin().items():
        assert torch.equal(other.begin()[name], c)
    assert selected_of(run.pruner).keys() == selected_of(other.pruner).keys() == state["approach"]["selected"].keys()


def test_nothing_to_cut(training):
    """Where weights are narrower already."""
    run = training(plan=plan_of(updates=2))
    for c in run.model.connectivity.values():
        c.vector[8:] = 0 if len(c.vector) == 16 else c.vector[8:]
    run.model.refresh()
    before = {name: c.vector.clone() for name, c in run.model.connectivity.items() if name.endswith("embedding_c")}
    run.begin()
    selected = selected_of(run.pruner)
    assert before and selected and not before.keys() & selected.keys()
    run.finish()
