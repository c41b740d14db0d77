"""Two and four ranks have the same weights, masks and counts, whatever the method."""

import pytest
import torch
from conftest import TINY, USER_DIR, same_tensors
from ranks import distributed, finished, train
from test_methods import PRUNING, options_of
from vision.test_ddp_methods import RUNS as CONVOLUTIONAL
from vision.test_gates import RUNS as GATED
from vision.test_greg import OPTIONS, RATIOS

from fairseq_prune.methods.table import METHODS

TEXT = f"""--task prune_translation --arch transformer --share-all-embeddings {TINY} --criterion cross_entropy
    --optimizer adam --lr 0.01 --max-tokens 100 --max-update 8"""
IMAGES = """--task prune_image_classification --criterion image_classification --arch resnet8 --image-size 8
    --max-train-images 64 --batch-size 8 --optimizer sgd --momentum 0.9 --lr-scheduler phased --prune-lr 0.01
    --lr-ft 0:0.05 --max-update 16"""
NODES = "--prune-target 0.5 --prune-batches 2"
ON_IMAGES = {
    **{name: ["--prune-method", name, "--stage-pr", RATIOS, *words] for name, words in OPTIONS.items()},
    **{name: CONVOLUTIONAL[name].split() for name in ("filter", "stripe", "patdnn")},
    **{name: f"--prune-method {name} {words} --prune-end 6up".split() for name, words in GATED.items()},
    **{name: f"--prune-method {name} {NODES}".split() for name in ("snap", "snap_it", "cnip_it", "taylor", "fisher")},
}
LAYERS = ("shortgpt", "layer_loss", "layer_gradient")
WIDTHS = {
    "srp": "--prune-target 0.5 --srp-pruning-updates 3 --prune-steps 2",
    "srp_once": "--prune-target 0.5 --prune-start 2up",
}


def train_and_keep(rank, words, folder):
    """Train, and write what this rank has in the end: parameters, masks, and what it counted."""
    from fairseq.trainer import Trainer

    trainers = []
    start = Trainer.__init__
    Trainer.__init__ = lambda self, *args: (trainers.append(self), start(self, *args))[1]
    train(rank, words)
    (trainer,) = trainers
    pruner, account = trainer.task.pruner, trainer.task.account
    found = {
        "weights": dict(trainer.model.named_parameters()),
        "moments": trainer.optimizer.optimizer.state_dict()["state"],
        "buffers": {name: b for name, b in trainer.model.named_buffers() if name.endswith("_c")},  # connectivity
        "masks": pruner.masks,
        "counts": [pruner.fraction_removed, pruner.masked.parameters_left, pruner.events_done, account.state()],
    }
    torch.save(found, folder / f"{rank}.pt")


def ends(count, data, words, folder):
    """What each rank has in the end."""
    quick = "--cpu --num-workers 0 --disable-validation --no-epoch-checkpoints --log-format simple".split()
    words = [str(data), *words, *quick, "--user-dir", USER_DIR, *distributed(count, folder)]
    finished(count, train_and_keep, [*words, "--save-dir", str(folder)], folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(count)]


def agree(first, *others):
    return all(same_tensors(first, other) for other in others)


def test_every_method_is_here():
    names = [*PRUNING, *ON_IMAGES, *WIDTHS, *LAYERS]
    assert {METHODS[name] for name in names} == {m for m in METHODS.values() if m.prunes}


@pytest.mark.parametrize("count, method", [*((2, name) for name in PRUNING), (4, "magnitude"), (4, "grasp")])
def test_transformer(parallel, tmp_path, count, method):
    first, *others = ends(count, parallel, [*TEXT.split(), *options_of(method)], tmp_path)
    assert first["masks"] and first["counts"][0] > 0
    assert agree(first, *others)


def test_with_a_teacher(new_run, parallel, tmp_path):
    """It acts on every rank's share of the batches, inside of DDP's wrapper; ranks agree, and it made a difference."""
    new_run("teacher").train("--max-update", "2", "--disable-validation")
    words = [*TEXT.split(), *options_of("magnitude")]
    asked = ["--prune-teacher", str(tmp_path / "teacher" / "checkpoint_last.pt"), "--prune-kd-hidden", "1"]
    found = {}
    for name, more in {"alone": [], "taught": asked}.items():
        (tmp_path / name).mkdir()
        found[name] = ends(2, parallel, [*words, *more], tmp_path / name)
    alone, taught = found.values()
    assert agree(*alone) and agree(*taught) and not agree(alone[0], taught[0])


@pytest.mark.parametrize("method", WIDTHS)
def test_widths(parallel, tmp_path, method):
    """Ranks do not cut: connectivity ends at 0."""
    text = TEXT.replace("--arch transformer", "--arch srp_transformer").split()
    first, *others = ends(2, parallel, [*text, "--prune-method", method, *WIDTHS[method].split()], tmp_path)
    zeros = {name: int((c == 0).sum()) for name, c in first["buffers"].items() if name.endswith("_c")}
    assert len(zeros) == 9 and all(zeros.values()) and first["counts"][2] == (2 if method == "srp" else 1)
    assert agree(first, *others)


@pytest.mark.parametrize("method", LAYERS)
def test_layers(parallel, tmp_path, method):
    """Ranks do not cut: one of the decoder's two layers is masked whole, and bypassed."""
    layers = "--decoder-layers 2 --prune-only decoder.layers.* --prune-target 0.5 --prune-start 2up --prune-batches 2"
    words = [*TEXT.split(), "--prune-method", method, *layers.split()]
    first, *others = ends(2, parallel, words, tmp_path)
    gone = {name.split(".")[2] for name, keep in first["masks"].items() if not keep.any()}
    assert len(gone) == 1 and all(name.startswith("decoder.layers.") for name in first["masks"])
    assert agree(first, *others)


@pytest.mark.parametrize("count, method", [*((2, name) for name in ON_IMAGES), (4, "greg2"), (4, "l0")])
def test_images(tmp_path, count, method):
    first, *others = ends(count, "synthetic", [*IMAGES.split(), *ON_IMAGES[method]], tmp_path)
    assert first["masks"] and first["counts"][0] > 0
    assert agree(first, *others)
