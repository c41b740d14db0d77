"""What compat relies on in fairseq is checked before it is used; what is missing is named in one line."""

import inspect
import sys

import fairseq
import pytest
from fairseq.models.ema.ema import EMA
from fairseq.sequence_generator import SequenceGenerator

from fairseq_prune import compat
from fairseq_prune.compat import patching
from fairseq_prune.compat.required import REQUIRED, Needed, require


def test_this_fairseq_is_known():
    require()


@pytest.mark.parametrize("holder, name, other, told", [
    (SequenceGenerator, "_generate", None, "fairseq.sequence_generator has no SequenceGenerator._generate"),
    (EMA, "restore", lambda self, path: None,
     r"EMA.restore of fairseq.models.ema.ema takes \(self, path\), not \(self, state_dict\)"),
    (EMA, "__init__", lambda self, model: setattr(self, "skip_keys", model.update_freq_counter),
     "EMA.__init__ of fairseq.models.ema.ema has no fp32_params, skip_keys"),
])  # fmt: skip
def test_what_is_missing_is_named(monkeypatch, holder, name, other, told):
    """By the import of the user-dir, before anything is patched."""
    monkeypatch.delattr(holder, name) if other is None else monkeypatch.setattr(holder, name, other)
    with pytest.raises(SystemExit, match=f"fairseq {fairseq.__version__} .*: {told}; install") as caught:
        compat.install()
    assert "\n" not in str(caught.value)


def test_a_module_that_is_gone():
    with pytest.raises(SystemExit, match="fairseq.gone has no A.b"):
        require([Needed("fairseq.gone:A.b")])


def test_the_table_holds_all_that_is_patched(monkeypatch):
    patched, patch_once = set(), patching.patch_once

    def noting(holder, attribute, patch):
        inside = f"{holder.__module__}:{holder.__qualname__}." if inspect.isclass(holder) else f"{holder.__name__}:"
        patched.add(inside + attribute)

    for name, module in list(sys.modules.items()):
        if name.startswith("fairseq_prune.compat.") and getattr(module, "patch_once", None) is patch_once:
            monkeypatch.setattr(module, "patch_once", noting)
    compat.install()
    compat.start_averages_from_weights()
    assert len(patched) > 20 and patched - {needed.where for needed in REQUIRED} == set()
