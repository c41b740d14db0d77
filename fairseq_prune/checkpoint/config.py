"""What a checkpoint's config says about its model, and rewriting it for a cut model."""

import argparse
import copy
import re
from collections.abc import Mapping
from typing import Any

from .. import register


class Config:
    """The config of a checkpoint, new (``cfg``) or old (``args``), as one mapping for each group.

    Args:
        checkpoint: the contents of the file; not modified, since the config is copied.

    Attributes:
        stored: dict of ``cfg`` and ``args``, to be put into a checkpoint.

    Raises:
        ValueError: the checkpoint has no config.
    """

    def __init__(self, checkpoint: Mapping[str, Any]):
        self.stored: dict[str, Any] = {key: copy.deepcopy(checkpoint.get(key)) for key in ("cfg", "args")}
        args, groups = self.stored["args"], self.stored["cfg"]
        if args is None and not isinstance(groups, Mapping):
            raise ValueError("the checkpoint has no config; give a file that fairseq-train saved")
        self._old = args is not None
        self.model = _as_dict(args if self._old else groups["model"])
        self._task = self.model if self._old else _as_dict(groups["task"])

    @property
    def arch(self) -> str:
        """Name of the architecture."""
        return self.model.get("_name") or self.model.get("arch")

    @property
    def task(self) -> str:
        """Name of the task."""
        return self._task.get("task" if self._old else "_name") or self._task.get("task")

    def heads(self, vector: str) -> int:
        """Attention heads, before any cut, of the block that a vector belongs to (count).

        Raises:
            ValueError: the config does not say.

        Example:
            >>> wav2vec = {"w2v_args": {"model": {"encoder_attention_heads": 12}}}
            >>> config = Config({"cfg": {"model": wav2vec, "task": {}}})
            >>> config.heads("w2v_encoder.w2v_model.encoder.layers.0.self_attn_qk_c")
            12
        """
        side = re.findall(r"(encoder|decoder)\.", vector)[-1:]
        inner = _as_dict(_as_dict(self.model.get("w2v_args") or {}).get("model") or {})
        for options in (self.model, inner):
            if side and options.get(f"{side[0]}_attention_heads"):
                return options[f"{side[0]}_attention_heads"]
        raise ValueError(f"{vector}: the config does not say how many heads it has")

    def name_sizes(self, sizes: Mapping[str, int]) -> None:
        """Set the sizes of a cut model, as the function :func:`name_sizes` does."""
        self.model.update((option, size) for option, size in sizes.items() if option in self.model)

    def name_pruning_task(self) -> None:
        """Replace the task by its pruning version, whose models adapt to cut widths, if there is one."""
        from fairseq.tasks import TASK_REGISTRY

        register()
        pruning = f"prune_{self.task}"
        if pruning in TASK_REGISTRY:
            for key in ("_name", "task"):
                if self._task.get(key) == self.task:
                    self._task[key] = pruning


def name_sizes(model: Any, sizes: Mapping[str, int]) -> None:
    """Set the sizes in a model's config to those of the cut model.

    Args:
        model: this group of the config, with its options as attributes.
        sizes: dict of option -> value.
    """
    for option, size in sizes.items():
        if getattr(model, option, size) != size:
            setattr(model, option, size)


def _as_dict(group):
    return vars(group) if isinstance(group, argparse.Namespace) else group
