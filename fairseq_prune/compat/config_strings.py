"""Strings in stored configs and data files that fairseq evaluates as Python: here they are parsed instead.

fairseq passes e.g. ``encoder_layers="[(512, 3)] * 20"`` from a checkpoint to ``eval``. Each of its modules
gets its own ``eval``, which accepts the legal forms and refuses all others.
"""

import ast
import os
import shlex
import warnings
from typing import Any

from .patching import fairseq_modules, patch_once

_LONGEST = 10_000  # elements of a list: no model has that many layers


def install() -> None:
    """Execute no string from a file: neither as Python, nor as a shell command, nor by unpickling."""
    from fairseq.data.fasta_dataset import FastaDataset

    for module in fairseq_modules():
        vars(module).setdefault("eval", parsed)
    patch_once(FastaDataset, "_build_index", _with_plain_paths)
    # torch.load's own default is weights_only=True, on which fairseq's calls rely.
    if os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None):
        warnings.warn("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is ignored: checkpoints load without it", stacklevel=2)


def parsed(text: str, *scopes: object) -> Any:
    """Read a value as ``eval`` would, if it is a literal or consists of lists or tuples that are added or repeated.

    >>> parsed("[(512, 3)] * 2 + [(1024, 1)]")
    [(512, 3), (512, 3), (1024, 1)]
    >>> parsed("10000,20000")
    (10000, 20000)

    Args:
        text: the string.
        scopes: the namespaces that ``eval`` takes; unused, since names are not looked up.

    Raises:
        TypeError: ``text`` is not a string; ``eval`` raises it too, and fairseq relies on that.
        SystemExit: anything that would have to be executed, or lists of more than 10,000 elements.
    """
    if not isinstance(text, str):
        raise TypeError("eval() arg 1 must be a string")
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        shown = repr(text if len(text) <= 60 else text[:60] + "…")
        raise SystemExit(
            f"config value {shown}: never evaluated; give numbers, True, False, or lists of them, e.g. [(512, 3)] * 20"
        ) from None


def _value(node):
    match node:
        case ast.BinOp(op=ast.Add() | ast.Mult()):
            return _joined(node)
        case ast.List(elts):
            return [_value(element) for element in elts]
        case ast.Tuple(elts):
            return tuple(_value(element) for element in elts)
        case _:
            return ast.literal_eval(node)


def _joined(node):
    left, right = _value(node.left), _value(node.right)
    if isinstance(node.op, ast.Mult):
        many, count = (right, left) if isinstance(left, int) else (left, right)
        length, legal = len(many) * count, isinstance(count, int)
    else:
        length, legal = len(left) + len(right), type(left) is type(right)
    if not legal or length > _LONGEST or not {type(left), type(right)} & {list, tuple}:
        raise ValueError("no such sum")
    return left * right if isinstance(node.op, ast.Mult) else left + right


def _with_plain_paths(build_index):
    """``--dataset-impl fasta`` passes the file's name to a shell, unquoted."""

    def build(self, path):
        if shlex.quote(path) != path:
            raise SystemExit(f"data {path!r}: a shell would read this name; rename it, e.g. train.de-en.de")
        return build_index(self, path)

    return build
