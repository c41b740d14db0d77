"""Vocabularies and BPE codes for programs that run without fairseq."""

import os
from collections.abc import Sequence

from fairseq.data import Dictionary
from torch import Tensor

CODES = "bpe.codes"  # their name in OUT
_IN_DATA = (CODES, "bpecodes", "codes")  # their usual names in data folders


def words_of(dictionary: Dictionary) -> list[str]:
    """A dictionary's words in order, with CTranslate2's name for padding.

    Args:
        dictionary: fairseq's.

    Returns:
        list of str.

    Raises:
        ValueError: two entries are the same word, but CTranslate2 looks words up by name.
    """
    words = ["<blank>" if word == dictionary.pad_word else word for word in dictionary.symbols]
    if len(set(words)) < len(words):
        twice = next(word for i, word in enumerate(words) if word in words[:i])
        raise ValueError(f"the dictionary has {twice!r} twice, once under this name for padding or overwritten")
    return words


class Speller:
    """Function from a row of token ids, int64 [length], to its words for CTranslate2, without padding and end.

    Args:
        dictionary: fairseq's.
    """

    def __init__(self, dictionary: Dictionary):
        self._words, self._silent = words_of(dictionary), (dictionary.pad(), dictionary.eos())

    def __call__(self, ids: Tensor) -> list[str]:
        return [self._words[i] for i in ids.tolist() if i not in self._silent]


def joined(words: Sequence[str]) -> str:
    """The text of subwords, joined into words."""
    return (" ".join(words) + " ").replace("@@ ", "").strip()


def find_codes(given: str | None, data: str) -> str | None:
    """The BPE codes that belong to a model.

    Args:
        given: path that the user gave, or None.
        data: folder of the training data.

    Returns:
        path, or None if there are none.

    Raises:
        ValueError: the given file does not exist or does not hold codes of subword-nmt.
    """
    if given is None:
        inside = (os.path.join(data, name) for name in _IN_DATA)
        return next((path for path in inside if os.path.isfile(path)), None)
    if not os.path.isfile(given):
        raise ValueError(f"--bpe-codes {given}: no such file; give subword-nmt's, e.g. data-bin/mine/{CODES}")
    with open(given, encoding="utf-8", errors="replace") as file:
        lines = [line.split() for line in file if not line.startswith("#version")]
    if not lines or any(len(line) != 2 for line in lines[:100]):
        raise ValueError(f"--bpe-codes {given}: not the codes of subword-nmt, which are two words a line")
    return given
