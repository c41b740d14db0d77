"""Image classifiers of the digits: runs, what they measure by hand, and checkpoints of new ones."""

import math
from argparse import Namespace
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from conftest import IMAGES, train_images, words_of
from fairseq import checkpoint_utils
from fairseq.models import ARCH_CONFIG_REGISTRY

from vision_bridge.models.classifier import ImageClassifier

MLP = (
    f"{IMAGES} --lr 0.05 --arch lenet300 --max-epoch 3 --best-checkpoint-metric top1 --maximize-best-checkpoint-metric"
)
L1 = "--prune-method l1 --stage-pr [0,0.75,0.5,0.3,0]"
WIDTHS = {1: 4, 2: 16, 3: 44}  # what stays of 16, 32 and 64 filters of each block's first convolution
LAYERS = {  # of the cut net: multiplications of 3x3 (and 1x1) kernels on 8x8, 4x4 and 2x2 pixels
    "net.conv1": 16 * 9 * 64,
    "net.layer1.0.conv1": 16 * 4 * 9 * 64, "net.layer1.0.conv2": 4 * 16 * 9 * 64,
    "net.layer2.0.conv1": 16 * 16 * 9 * 16, "net.layer2.0.conv2": 16 * 32 * 9 * 16,
    "net.layer3.0.conv1": 32 * 44 * 9 * 4, "net.layer3.0.conv2": 44 * 64 * 9 * 4,
    "net.fc": 640,
}  # fmt: skip
DENSE_MACS = 9 * (64 * (16 + 2 * 256) + 16 * (512 + 1024) + 4 * (2048 + 4096)) + 640


def train(folder, *words, data="digits"):
    """``fairseq-train`` of an MLP on digits, three epochs of 21 updates; returns the last checkpoint."""
    return train_images(folder, data, *words_of(MLP), *words)


def train_resnet(folder, *words):
    """A ResNet-8 for 20 updates; with averages filters are masked, without they are cut in the run.

    Returns the last checkpoint's path.
    """
    train_images(folder, "digits", *words_of("--arch resnet8 --max-update 20 --disable-validation"), *words)
    return folder / "checkpoint_last.pt"


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


def widths(state):
    """Filters of each block's first convolution in a ResNet-8."""
    return {i: len(state[f"net.layer{i}.0.conv1.weight"]) for i in (1, 2, 3)}


def new_checkpoint(arch, seed=1, **more):
    """What fairseq-train would save of a new model for images of 1x8x8 in 10 classes."""
    options = Namespace(arch=arch, _name=arch, **more)
    ARCH_CONFIG_REGISTRY[arch](options)
    torch.manual_seed(seed)
    model = ImageClassifier.build_model(options, SimpleNamespace(image_shape=(1, 8, 8), classes=10))
    cfg = {"model": options, "task": {"_name": "prune_image_classification", "data": "digits"}}
    return {"model": model.state_dict(), "cfg": cfg, "args": None, "extra_state": {}}
