"""Image classification by fairseq's commands: that it learns, measures, prunes and resumes as it should."""

import math
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors, words_of
from fairseq import checkpoint_utils, optim
from fairseq.logging import metrics
from omegaconf import OmegaConf
from two_ranks import train_on_two

from fairseq_prune.compat import load_checkpoint
from vision_bridge.criterion import ImageClassificationCriterion as Criterion
from vision_bridge.criterion import hits
from vision_bridge.data.options import ImageOptions
from vision_bridge.data.source import open_source
from vision_bridge.task import ImageClassificationTask

TASK = "--task prune_image_classification"
MLP = f"""{TASK} --arch lenet300 --criterion image_classification --optimizer sgd --momentum 0.9 --lr 0.05
    --batch-size 64 --cpu --num-workers 0 --no-epoch-checkpoints --log-format simple --log-interval 1000 --max-epoch 3
    --best-checkpoint-metric top1 --maximize-best-checkpoint-metric"""


def train(folder, *words, data="digits"):
    """``fairseq-train`` of an MLP on digits, three epochs of 21 updates; returns the last checkpoint."""
    run_fairseq("train", data, "--user-dir", USER_DIR, *words_of(MLP), "--save-dir", folder, *words)
    return load_checkpoint(folder / "checkpoint_last.pt")


def validate(capsys, path, subset, *words):
    """The metrics that ``fairseq-validate`` prints, by name."""
    capsys.readouterr()
    run_fairseq(
        "validate", "digits", "--user-dir", USER_DIR, *words_of(TASK), "--path", path, "--valid-subset", subset,
        "--batch-size", "50", "--cpu", "--num-workers", "0", "--log-format", "simple", *words,
    )  # fmt: skip
    line = re.findall(rf"valid on '{subset}' subset \| ([^\"\n]*)", "".join(capsys.readouterr()))[-1]
    return {name: float(value) for name, value in (part.split() for part in line.split(" | "))}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a run."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder)
    return folder


def load(path, **overrides):
    """Model and task of a checkpoint."""
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(path)], arg_overrides=overrides)
    return model.eval(), task


@torch.no_grad()
def measure(model, task, split):
    """Top-1 in % and cross-entropy in bits, by hand."""
    images = task.source.images(split)
    mean, std = (torch.tensor(values)[:, None, None] for values in (task.mean, task.std))
    logits = model((images.images / 255 - mean) / std)
    right = (logits.argmax(1) == images.targets).double().mean()
    return 100 * float(right), float(F.cross_entropy(logits, images.targets)) / math.log(2)


def test_it_learns_the_digits(trained):
    model, task = load(trained / "checkpoint_best.pt")
    assert measure(model, task, "test")[0] > 85
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert measure(model, task, "test")[0] < 40


def test_it_learns_nothing_from_shuffled_labels(tmp_path):
    parts = open_source("digits", ImageOptions(seed=1)).parts
    arrays = {f"{kind}_{split}": value.numpy() for split, part in parts.items() for kind, value in (("x", part.images), ("y", part.targets))}  # fmt: skip  # noqa: E501
    arrays["y_train"] = np.random.default_rng(1).permutation(arrays["y_train"])
    np.savez(tmp_path / "shuffled.npz", **arrays)
    train(tmp_path, "--normalisation", "digits", data=tmp_path / "shuffled.npz")
    assert measure(*load(tmp_path / "checkpoint_last.pt"), "test")[0] < 25


@pytest.mark.parametrize("subset", ["valid", "test"])
def test_validation_measures_as_by_hand(trained, capsys, subset):
    path = trained / "checkpoint_best.pt"
    printed = validate(capsys, path, subset)
    top1, bits = measure(*load(path), subset)
    assert printed["top1"] == pytest.approx(top1, abs=6e-4)
    assert printed["loss"] == printed["nll_loss"] == pytest.approx(bits, abs=6e-4)
    assert printed["top1"] < printed["top5"] <= 100


def test_the_best_checkpoint_is_of_the_best_top1(trained):
    state = load_checkpoint(trained / "checkpoint_best.pt")["extra_state"]
    assert state["best"] == state["val_loss"]
    assert state["best"] == pytest.approx(measure(*load(trained / "checkpoint_best.pt"), "valid")[0], abs=6e-4)


def test_two_ranks_measure_each_image_once(tmp_path):
    """They have 2 and 1 of the 3 validation batches, and no batch norms, whose means each rank has of its own."""
    words = [
        *words_of(MLP),
        "--no-batch-norm",
        "--max-update",
        11,
        "--ddp-backend",
        "legacy_ddp",
        "--save-dir",
        tmp_path,
    ]
    train_on_two([sys.executable, "-m", "fairseq_cli.train", "digits", "--user-dir", USER_DIR, *words])
    state = load_checkpoint(tmp_path / "checkpoint_last.pt")["extra_state"]
    assert state["val_loss"] == pytest.approx(measure(*load(tmp_path / "checkpoint_last.pt"), "valid")[0], abs=6e-4)
    assert state["val_loss"] > 30


def test_options_given_to_validation_are_heard(trained, capsys):
    path = trained / "checkpoint_best.pt"
    as_test = validate(capsys, path, "valid", "--holdout", "0")
    assert as_test["top1"] == validate(capsys, path, "test")["top1"] != validate(capsys, path, "valid")["top1"]


def test_a_task_of_a_checkpoint_does_not_augment(trained):
    _, task = load(trained / "checkpoint_best.pt", augmentation="crop_flip")
    task.load_dataset("train")
    assert task.dataset("train").augmentation is None


def test_pruning(tmp_path):
    checkpoint = train(tmp_path, *words_of("--prune-method magnitude --prune-target 0.8 --prune-start 1ep"))
    masks = masks_of(checkpoint)
    removed = sum(int((mask == 0).sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())
    assert removed == pytest.approx(0.8, abs=1e-4)
    assert measure(*load(tmp_path / "checkpoint_last.pt"), "test")[0] > 80


PRUNED = "--prune-method magnitude --prune-target 0.8 --prune-schedule cubic --prune-end 35up --prune-every 5up"


@pytest.mark.parametrize("words", ["", PRUNED], ids=["dense", "pruned"])
def test_a_resumed_run_is_an_uninterrupted_one(tmp_path, words):
    words = [*words_of(f"{words} --max-update 37 --save-interval-updates 27"), "--augmentation"]
    whole = train(tmp_path, *words, "crop_flip")
    resumed = {}
    for augmentation in ("crop_flip", "flip"):
        folder = tmp_path / augmentation
        folder.mkdir()
        shutil.copy(tmp_path / "checkpoint_2_27.pt", folder / "checkpoint_last.pt")  # in the second epoch
        resumed[augmentation] = train(folder, *words, augmentation)
    for part in ("model", "last_optimizer_state"):
        assert same_tensors(whole[part], resumed["crop_flip"][part])
    assert not same_tensors(whole["model"], resumed["flip"]["model"])


def new_task(**options):
    """A plain task and its training set."""
    cfg = OmegaConf.structured(ImageOptions(**{"data": "digits", "augmentation": "crop_flip", "seed": 1, **options}))
    task = ImageClassificationTask.setup_task(cfg)
    task.load_dataset("train")
    return task, task.dataset("train")


def epochs(**options):
    """Three epochs of training batches from one iterator, as fairseq-train takes them."""
    task, dataset = new_task(max_train_images=100)
    found = []
    for epoch in (1, 2, 3):
        batches = task.get_batch_iterator(dataset, max_sentences=40, epoch=epoch, **options)
        found += [list(batches.next_epoch_itr(shuffle=True))]
    batches._cur_epoch_itr = batches.dataloader = None  # else its workers keep the garbage collector waiting
    return found


def test_workers_that_live_on_know_the_epoch():
    alone, helped = epochs(), epochs(num_workers=2)
    assert same_tensors(alone, helped)
    assert [[batch["nsentences"] for batch in batches] for batches in alone] == [[40, 40, 20]] * 3
    assert len({tuple(batch["id"].tolist()) for batches in alone for batch in batches}) == 9


def test_any_module_may_be_imported_first():
    """fairseq_prune registers all modules when it is imported, which is when one of them needs it."""
    code = "import fairseq.tasks, vision_bridge.data.table as table; assert table.DATASETS; import vision_bridge.task"
    subprocess.run([sys.executable, "-c", code], check=True)


# Criterion


class Net(torch.nn.Module):
    """Logits that were given."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = logits

    def forward(self, image):
        return self.logits if len(self.logits) > 1 else self.logits[0]


def log_of(criterion, net, target):
    sample = {"net_input": {"image": None}, "target": target}
    return criterion(net, sample)


def reduced(logs):
    """What is shown of logging outputs."""
    with metrics.aggregate(new_root=True) as meters:
        Criterion.reduce_metrics(logs)
    return {name: float(meters[name].avg) for name in meters}


def logits_and_target(count=31, classes=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, count, classes, generator=generator), torch.arange(count) % classes


@pytest.mark.parametrize("smoothing, weight", [(0, 0.4), (0.1, 0.4), (0.1, 0)])
def test_the_loss(smoothing, weight):
    (logits, aux), target = logits_and_target()
    criterion = Criterion(SimpleNamespace(), smoothing, weight)
    main, more = (F.cross_entropy(x, target, label_smoothing=smoothing, reduction="sum") for x in (logits, aux))
    loss, size, log = log_of(criterion, Net(logits), target)
    assert torch.isclose(loss, main) and size == 31
    both, _, aux_log = log_of(criterion, Net(logits, aux), target)
    assert torch.isclose(both, main + weight * more)
    shown, nll = reduced([log]), float(F.cross_entropy(logits, target)) / math.log(2)
    assert shown["loss"] == pytest.approx(float(main) / 31 / math.log(2), rel=1e-6)
    assert shown["nll_loss"] == pytest.approx(nll, rel=1e-6) == pytest.approx(reduced([aux_log])["nll_loss"])


def test_top1_and_top5_count_each_image_once():
    (logits, _), target = logits_and_target()
    right = 100 * float((logits.argmax(1) == target).double().mean())
    in_five = 100 * float((logits.topk(5).indices == target[:, None]).any(1).double().mean())
    criterion = Criterion(SimpleNamespace(), 0, 0)
    logs = [log_of(criterion, Net(part), labels)[2] for part, labels in zip(logits.split(8), target.split(8), strict=True)]  # fmt: skip  # noqa: E501
    summed = {key: sum(log[key] for log in logs) for key in logs[0]}  # as fairseq does over ranks
    for shown in (reduced(logs), reduced([summed])):
        assert shown["top1"] == pytest.approx(right, rel=1e-12) and shown["top5"] == pytest.approx(in_five, rel=1e-12)
    with metrics.aggregate(new_root=True) as meters:  # one batch after the other
        for log in logs:
            Criterion.reduce_metrics([log])
    assert float(meters["top1"].avg) == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize("classes, names", [(3, ["top1"]), (5, ["top1"]), (6, ["top1", "top5"])])
def test_top5_only_where_it_says_something(classes, names):
    (logits, _), target = logits_and_target(classes=classes)
    assert sorted(hits(logits, target)) == names


# RMSprop


def test_rmsprop_is_torchs():
    from vision_bridge.rmsprop import RMSpropConfig

    settings = {"momentum": 0.5, "weight_decay": 0.1}
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    cfg = OmegaConf.structured(
        RMSpropConfig(_name="rmsprop", rmsprop_alpha=0.9, rmsprop_eps=1e-3, lr=[0.1], **settings)
    )
    ours = optim.build_optimizer(cfg, weights[:1])
    theirs = torch.optim.RMSprop(weights[1:], lr=0.1, alpha=0.9, eps=1e-3, **settings)
    for step in range(3):
        for weight, optimizer in zip(weights, (ours, theirs), strict=True):
            weight.grad = torch.tensor([1.0, -2.0, step])
            optimizer.step()
    assert torch.equal(*weights) and not torch.equal(weights[0], torch.ones(3))


def test_rmsprop_trains(tmp_path):
    train(tmp_path, "--optimizer", "rmsprop", "--lr", 0.001, "--momentum", 0)
    assert measure(*load(tmp_path / "checkpoint_last.pt"), "test")[0] > 80


# Errors


@pytest.mark.parametrize(
    "words, message",
    [
        ("--batch-size 0", "--batch-size: .*--batch-size 128"),
        ("--max-tokens 100", "--max-tokens 100: .*--batch-size 128"),
        ("--holdout 2", "--holdout 2.0: .*--holdout 0.1"),
        ("--image-set cifar", "--image-set cifar: .*did you mean 'cifar10'"),
        ("--label-smoothing 1", "--label-smoothing 1.0: .*--label-smoothing 0.1"),
        ("--aux-weight -1", "--aux-weight -1.0: "),
        ("--valid-subset validation", "'validation': there are train, valid and test"),
    ],
)
def test_mistakes_are_explained(tmp_path, words, message):
    with pytest.raises(SystemExit, match=message):
        train(tmp_path, *words.split())


def test_a_batch_size_has_to_be_given(tmp_path, trained):
    words = MLP.replace("--batch-size 64", "").split()
    with pytest.raises(SystemExit, match="--batch-size: .*--batch-size 128"):
        run_fairseq("train", "digits", "--user-dir", USER_DIR, *words, "--save-dir", tmp_path)
    with pytest.raises(SystemExit, match="--batch-size: .*--batch-size 128"):
        run_fairseq(
            "validate", "digits", "--user-dir", USER_DIR, *words_of(TASK), "--path", trained / "checkpoint_best.pt"
        )


def test_missing_data_are_explained(tmp_path):
    with pytest.raises(SystemExit, match="DATA nowhere: no such folder.*give e.g. digits"):
        train(tmp_path, data="nowhere")
    with pytest.raises(SystemExit, match="DATA cifar10: not in --data-root .*--download"):
        train(tmp_path, "--data-root", tmp_path, data="cifar10")
