"""What a SiPO run works on, and the files in its folder."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...evaluate.load import Workbench
from ...evaluate.translation import translate
from ...files.json_file import read_sealed, write_sealed
from .settings import SipoSettings


@dataclass(frozen=True)
class SipoJob:
    """What a SiPO run works on.

    Args:
        bench: :class:`~fairseq_prune.evaluate.load.Workbench`.
        checkpoint: path of the original model.
        groups: dict of group name -> list of parameter names.
        settings: :class:`~.settings.SipoSettings`.
        folder: of all results.
        data: the DATA argument, for retraining.
        translates: True for an encoder-decoder.
        log: keyword arguments of fairseq's progress bar.
    """

    bench: Workbench
    checkpoint: str
    groups: Mapping[str, Sequence[str]]
    settings: SipoSettings
    folder: str
    data: str
    translates: bool
    log: Mapping[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """A file of the run."""
        return os.path.join(self.folder, name)

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """The content of a JSON file; computed and written if it is not there."""
        content = read_sealed(self.path(name))
        if content is None:
            content = compute()
            write_sealed(self.path(name), content)
        return content

    def measure(self, checkpoint: str, splits: Sequence[str] = ("valid", "test")) -> dict[str, Any]:
        """Accuracy and perplexity of a checkpoint on the splits that there are, dict of split -> dict."""
        model, results = self.bench.model(checkpoint), {}
        for split in splits:
            if split == "valid" or self.bench.has(split):
                score = self.bench.evaluator(model, split).measure()
                results[split] = score.plain()
        if self.translates and "test" in results:
            results["test"] |= translate(model, self.bench.task, "test", self.settings.reference)
        return results
