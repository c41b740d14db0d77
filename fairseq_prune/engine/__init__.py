"""The life of a pruning run, between the science and fairseq's training loop.

:mod:`.mixin` is where fairseq calls in; :mod:`.pruner` decides and enforces.
"""

import fairseq  # noqa: F401  (first: fairseq_prune/__init__.py then registers)
