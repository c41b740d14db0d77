"""Damaged files of fairseq-preprocess, which fairseq notices by an assertion, in the middle of a run, or never."""

import os
import struct

from ..errors import DamagedData
from .patching import patch_once

_HEAD = struct.Struct("<9sQBQ")  # header of an index: magic number, version, code of the dtype, number of sequences
_LENGTH, _PLACE = struct.Struct("<i"), struct.Struct("<q")  # then all lengths and all offsets, one per sequence


def install() -> None:
    """Check the files when they are opened, and say which one is damaged."""
    from fairseq.data import Dictionary, indexed_dataset

    patch_once(indexed_dataset, "make_dataset", _looking_first)
    patch_once(Dictionary, "add_from_file", _naming_the_file)


def _looking_first(make_dataset):
    def make(path, impl, *args, **kwargs):
        index, numbers = f"{path}.idx", f"{path}.bin"
        if impl in ("mmap", "cached") and os.path.exists(index) and os.path.exists(numbers):
            _check(index, numbers)
        return make_dataset(path, impl, *args, **kwargs)

    return make


def _check(index, numbers):
    """Compare the sizes of an index and of its data file with what the index says."""
    from fairseq.data.indexed_dataset import IndexedDataset, MMapIndexedDataset, _code_to_dtype

    with open(index, "rb") as file:
        head = file.read(_HEAD.size)
        if head.startswith(IndexedDataset._HDR_MAGIC):  # written by fairseq before 0.7
            return
        if len(head) < _HEAD.size or not head.startswith(MMapIndexedDataset.Index._HDR_MAGIC):
            raise DamagedData(f"{index}: is not an index")
        _, _, code, count = _HEAD.unpack(head)
        if not count:
            raise DamagedData(f"{index}: has no sequence in it")
        if os.path.getsize(index) < _HEAD.size + count * (_LENGTH.size + _PLACE.size):
            raise DamagedData(f"{index}: is cut short")
        file.seek((count - 1) * _LENGTH.size, os.SEEK_CUR)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        file.seek((count - 1) * _PLACE.size, os.SEEK_CUR)
        (place,) = _PLACE.unpack(file.read(_PLACE.size))
    if code not in _code_to_dtype or os.path.getsize(numbers) < place + length * _code_to_dtype[code]().itemsize:
        raise DamagedData(f"{numbers}: is cut short, or not of {index}")


def _naming_the_file(add_from_file):
    def add(self, f):
        try:
            return add_from_file(self, f)
        except FileNotFoundError:
            raise
        except Exception as error:  # fairseq raises nothing more specific
            if not isinstance(f, str) or isinstance(error, DamagedData):
                raise
            raise DamagedData(f"{f}: is not a dictionary, which has a word and its count on each line") from None

    return add
