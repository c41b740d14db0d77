"""Whether an image classifier has what a printed command would remove: it is built, traced and looked at."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import USER_DIR
from fairseq import options
from fairseq.tasks import TASK_REGISTRY
from torch.nn import init

from vision_bridge import pruning
from vision_bridge import task as images

SETS = {  # channels, height and width, classes; ImageNet's in small
    "cifar10": ((3, 32, 32), 10), "cifar100": ((3, 32, 32), 100), "imagenet": ((3, 64, 64), 1000),
    "mnist": ((1, 28, 28), 10), "digits": ((1, 16, 16), 10),
}  # fmt: skip
LEFT_OUT = {"--finetune-from-model", "--torchvision-weights", "--save-dir"}  # where weights would come from
DECIDES = """--arch --torchvision-model --prune-method --prune-units --wg --stage-pr --skip-layers --prune-recipe
    --prune-only --prune-skip --prune-scope --prune-target""".split()
INITIAL = "orthogonal_ kaiming_normal_ kaiming_uniform_ xavier_uniform_ normal_ uniform_ trunc_normal_".split()


class Binder:
    """Holds commands against models, each kind of command once; each net is traced once."""

    def __init__(self):
        self._seen, self._traced = set(), {}

    def bind(self, name, words):
        """Build the model and look at what would be removed.

        Raises:
            SystemExit, ValueError: the model has no such layers or units.
        """
        pairs = list(zip(words, words[1:], strict=False))
        kind = (words[0], *(pair for pair in pairs if pair[0] in DECIDES))
        if name != "fairseq-train" or ("--task", "prune_image_classification") not in pairs or kind in self._seen:
            return
        self._seen.add(kind)
        files = {at for at, word in enumerate(words) if word in LEFT_OUT}
        words = [word for at, word in enumerate(words) if not {at, at - 1} & files]
        words[words.index("--user-dir") + 1] = USER_DIR
        words += ["--save-dir", "nowhere"]
        args = options.parse_args_and_arch(options.get_training_parser(), words)
        with pytest.MonkeyPatch.context() as patch:
            for function in INITIAL:  # of tens of millions of weights that nobody will train
                patch.setattr(init, function, lambda tensor, *_, **__: tensor)
            patch.setattr(images, "open_source", _source)
            patch.setattr(pruning, "trace", self._trace)
            task = TASK_REGISTRY[args.task].setup_task(args)
            task.build_model(args)
            task.pruner.check_start()

    def _trace(self, net, example, prefix):
        shapes = tuple((name, tensor.shape) for name, tensor in net.named_parameters())
        if shapes not in self._traced:
            self._traced[shapes] = TRACE(net, example, prefix)
        return self._traced[shapes]


TRACE = pruning.trace


def _source(data, options):
    shape, classes = SETS[Path(data).name]
    return SimpleNamespace(shape=shape, classes=classes, mean=0.5, std=0.5, options=options)
