"""The fairseq model around any net: ``--arch`` names an entry of NETS, or ``torchvision``."""

from collections.abc import Sequence

import torch
from fairseq.models import BaseFairseqModel, register_model, register_model_architecture
from torch import Tensor, nn

from fairseq_prune.errors import one_line_errors

from .divisible import make_divisible
from .nets import NETS, NetSpec
from .torchvision_nets import build_torchvision
from .weights import load_weights, read_weights

TORCHVISION = "torchvision"
EXAMPLE = "give e.g. a file of torch.save(net.state_dict(), FILE)"
DEFAULTS = {
    "torchvision_model": None,
    "torchvision_weights": None,
    "net_weights": None,
    "no_batch_norm": False,
    "net_dropout": None,
}


@register_model("image_classifier")
class ImageClassifier(BaseFairseqModel):
    """Maps images to logits.

    Args:
        net: the module that does it; its layer norms and attention are replaced by ones that can lose channels.
        image_shape: ``(channels, height, width)`` of an image.
        classes: number of logits.

    Attributes:
        net, image_shape, classes: as given.
    """

    def __init__(self, net: nn.Module, image_shape: Sequence[int], classes: int):
        super().__init__()
        make_divisible(net)
        self.net = net
        self.image_shape = tuple(image_shape)
        self.classes = classes

    @staticmethod
    def add_args(parser):
        parser.add_argument(
            "--torchvision-model",
            metavar="NAME",
            help="with --arch torchvision: which of torchvision's classification models, e.g. resnet50",
        )
        parser.add_argument(
            "--torchvision-weights",
            metavar="FILE",
            help="with --arch torchvision: a state dict to start from, or torchvision's: 'IMAGENET1K_V1', 'default'",
        )
        parser.add_argument(
            "--net-weights",
            metavar="FILE",
            help="a state dict of the net to start from, or a file of torch.save with one under state_dict",
        )
        parser.add_argument("--no-batch-norm", action="store_true", help="build the network without batch norms")
        parser.add_argument("--net-dropout", type=float, metavar="P", help="replaces the network's own dropout")

    @classmethod
    def build_model(cls, args, task):
        """Build the net for a task's images; stores their shape and classes in ``args``, and so in checkpoints."""
        _add_later_options(args)
        args.image_shape, args.classes = list(task.image_shape), task.classes
        with one_line_errors():
            return cls(_build_net(args, task), task.image_shape, task.classes)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Classify.

        Args:
            image: float [batch, channels, height, width].

        Returns:
            Logits [batch, classes]; in training, nets with auxiliary classifiers return a tuple with their logits, too.
        """
        output = self.net(image)
        return output if torch.is_tensor(output) else tuple(output)

    def example(self) -> Tensor:
        """Zeros [2, channels, height, width], of the parameters' dtype and on their device."""
        return next(self.parameters()).new_zeros(2, *self.image_shape)

    def get_normalized_probs(self, net_output, log_probs, sample=None):
        """Probabilities or log-probabilities, float32 [batch, classes], from the result of :meth:`forward`."""
        logits = net_output if torch.is_tensor(net_output) else net_output[0]
        return (torch.log_softmax if log_probs else torch.softmax)(logits, dim=-1, dtype=torch.float32)


def _build_net(args, task):
    channels, size, _ = task.image_shape
    spec = NetSpec(task.classes, channels, size, not args.no_batch_norm, args.net_dropout)
    if args.net != TORCHVISION:
        for option in ("torchvision_model", "torchvision_weights"):
            if value := getattr(args, option):
                raise ValueError(f"--{option.replace('_', '-')} {value}: needs --arch torchvision, not {args.net}")
        net = NETS[args.net](spec)
        if args.net_weights and not getattr(task, "only_evaluates", False):
            state = read_weights("--net-weights", args.net_weights, EXAMPLE)
            load_weights(net, state, "--net-weights", args.net_weights, f"--arch {args.net}", task.classes, EXAMPLE)
        return net
    if args.net_weights:
        raise ValueError(f"--net-weights {args.net_weights}: with --arch torchvision give --torchvision-weights")
    weights = None if getattr(task, "only_evaluates", False) else args.torchvision_weights
    return build_torchvision(args.torchvision_model, weights, spec)


def _architecture(name):
    def complete(args):
        args.net = name
        _add_later_options(args)

    return complete


def _add_later_options(args):
    """Add options that older checkpoints lack."""
    for option, default in DEFAULTS.items():
        setattr(args, option, getattr(args, option, default))


for _name in (*NETS, TORCHVISION):
    register_model_architecture("image_classifier", _name)(_architecture(_name))
