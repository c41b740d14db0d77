"""Transformers and recurrent language models as ONNX: a file for each side, compared with fairseq step by step."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from fairseq import utils
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from ...compat.onnx import write_onnx
from .evidence import sentences
from .onnx_recurrent import RecurrentStep, is_recurrent_lm
from .onnx_transformer import DecoderStep, Encoder
from .read import read_transformer

LIMIT = 1e-4  # largest difference of a log-probability, relative where it is below -1; both compute in float32
_LONGEST = 64  # tokens of each row that are compared, at most
_BATCH, _LENGTH, _PAST, _NEW = 2, 5, 4, 3  # sizes of the examples that are traced


@dataclass(frozen=True)
class Graph:
    """A module, and the names of its inputs and outputs.

    Args:
        net: in eval mode.
        inputs: dict of name -> example tensor.
        outputs: names of the outputs.
        axes: dict of name -> dict of axis -> name of the axis; axes that are not listed have a fixed length.
    """

    net: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]
    axes: dict[str, dict[int, str]]

    def write(self, path: str) -> None:
        """Write the ONNX file."""
        write_onnx(self.net.eval(), self.inputs, self.outputs, self.axes, path)


def graphs_of(model: BaseFairseqModel, activation: str) -> dict[str, Graph]:
    """The graphs of a model: dict of file name without suffix -> :class:`Graph`.

    Args:
        model: fairseq model.
        activation: name of the activation function of its feed-forward blocks.

    Raises:
        ValueError: the model is neither a Transformer nor a recurrent language model.
    """
    if is_recurrent_lm(model):
        return {"decoder": _recurrent(RecurrentStep(model))}
    transformer = read_transformer(model, activation)
    function = utils.get_activation_fn(transformer.activation)
    found = {}
    source: dict[str, Tensor] = {}
    if transformer.encoder:
        encoder = Encoder(transformer.encoder, transformer.decoder, function, model.encoder.dictionary.pad())
        if len(encoder.readers):  # otherwise no layer of the decoder attends to it
            found["encoder"], source = _encoder(encoder, len(transformer.encoder.words))
    return found | {"decoder": _decoder(DecoderStep(transformer.decoder, function), source)}


def _tokens(length, vocabulary=5):
    return torch.full((_BATCH, length), vocabulary - 1)


_BATCH_FIRST = {0: "batch"}


def _encoder(net, vocabulary):
    names = ["source_mask"]
    for index, _ in enumerate(net.readers):
        names += [f"source_key_{index}", f"source_value_{index}"]
    inputs = {"tokens": _tokens(_LENGTH, min(vocabulary, 5))}
    with torch.no_grad():
        made = dict(zip(names, net.eval()(inputs["tokens"]), strict=True))
    axes = {
        name: _BATCH_FIRST | {2 if "_key" in name or "_value" in name else 1: "length"} for name in [*names, "tokens"]
    }
    return Graph(net, inputs, names, axes), made


def _decoder(net, source):
    inputs, outputs = {"tokens": _tokens(_NEW)}, ["log_probs"]
    axes = {"tokens": _BATCH_FIRST | {1: "new"}, "log_probs": _BATCH_FIRST | {1: "new"}}
    for index, block in enumerate(net.itself):
        for part, linear in (("key", block.key), ("value", block.value)):
            name, width = f"{part}_{index}", len(linear.weight) // block.heads
            inputs[f"past_{name}"] = torch.zeros(_BATCH, block.heads, _PAST, width)
            outputs.append(name)
            axes |= {f"past_{name}": _BATCH_FIRST | {2: "past"}, name: _BATCH_FIRST | {2: "past_and_new"}}
    for name, made in source.items():
        inputs[name] = made
        axes[name] = _BATCH_FIRST | {1 if name == "source_mask" else 2: "length"}
    return Graph(net, inputs, outputs, axes)


def _recurrent(net):
    inputs, outputs = {"tokens": _tokens(_NEW)}, ["log_probs"]
    axes = {"tokens": _BATCH_FIRST | {1: "new"}, "log_probs": _BATCH_FIRST | {1: "new"}}
    for index, width in enumerate(net.widths):
        for part in ("hidden", "cell"):
            name = f"{part}_{index}"
            inputs[f"past_{name}"] = torch.zeros(1, _BATCH, width)
            outputs.append(name)
            axes |= {f"past_{name}": {1: "batch"}, name: {1: "batch"}}
    return Graph(net, inputs, outputs, axes)


def open_session(path: str, threads: int) -> Any:
    """An ``onnxruntime.InferenceSession`` for a file, on the CPU with the given number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Steps:
    """A folder of exported files, run by onnxruntime.

    Args:
        folder: folder of the files.
        threads: threads within an operator (count).
    """

    def __init__(self, folder: str, threads: int = 1):
        self._sessions = {
            side: open_session(path, threads)
            for side in ("encoder", "decoder")
            if os.path.exists(path := os.path.join(folder, f"{side}.onnx"))
        }

    def begin(self, sources: Tensor | None, rows: int) -> dict[str, Any]:
        """Inputs of the first step apart from its tokens.

        Args:
            sources: int64 [rows, length] for an encoder-decoder, else None.
            rows: rows of the batch (count).
        """
        feed: dict[str, Any] = {}
        if sources is not None and "encoder" in self._sessions:
            names = [output.name for output in self._sessions["encoder"].get_outputs()]
            feed = dict(zip(names, self._sessions["encoder"].run(None, {"tokens": sources.numpy()}), strict=True))
        sizes = {"batch": rows, "past": 0}
        for given in self._sessions["decoder"].get_inputs():
            if given.name.startswith("past_"):
                feed[given.name] = torch.zeros([sizes.get(size, size) for size in given.shape]).numpy()
        return feed

    def step(self, tokens: Tensor, feed: dict[str, Any]) -> Tensor:
        """Log-probabilities [rows, new, vocabulary] after int64 tokens [rows, new]; updates ``feed``."""
        decoder = self._sessions["decoder"]
        made = decoder.run(None, {**feed, "tokens": tokens.numpy()})
        names = [output.name for output in decoder.get_outputs()]
        feed |= {f"past_{name}": part for name, part in zip(names[1:], made[1:], strict=True)}
        return torch.from_numpy(made[0])


def compare(folder: str, task: FairseqTask, model: BaseFairseqModel, split: str, batches: int) -> dict[str, Any]:
    """Compare the log-probabilities of fairseq and of the files, step by step, on rows of text.

    Returns:
        dict: ``sentences`` and ``steps`` (counts), ``largest_difference`` (relative for log-probabilities below -1),
        ``same_word``: steps with the same best word as fairseq (count).

    Raises:
        ValueError: they differ by more than :data:`LIMIT`.
    """
    steps = Steps(folder, torch.get_num_threads())
    largest, rows, count, same = torch.zeros(()), 0, 0, 0
    for sample in sentences(task, model, split, batches):
        for own, found in _pairs(steps, model, sample, task.source_dictionary.pad()):
            difference = (own - found).abs() / own.abs().clamp(min=1)
            largest = torch.maximum(largest, difference.max())  # keeps NaN
            count += len(own)
            same += int((own.argmax(1) == found.argmax(1)).sum())
        rows += len(sample["net_input"]["src_tokens"])
    if not float(largest) <= LIMIT:
        raise ValueError(
            f"the log-probabilities of onnxruntime differ by up to {float(largest):.1e}, more than {LIMIT:.0e}; "
            "nothing is written"
        )
    return {"sentences": rows, "steps": count, "same_word": same, "largest_difference": float(largest)}


@torch.no_grad()
def _pairs(steps, model, sample, pad) -> Iterator[tuple[Tensor, Tensor]]:
    """For each step of a batch, log-probabilities [tokens, vocabulary] of fairseq and of the files."""
    inputs = {name: value for name, value in sample["net_input"].items() if name != "carried"}
    sources = inputs["src_tokens"] if hasattr(model, "encoder") else None
    if sources is not None and "prev_output_tokens" not in inputs:  # made-up sentences
        inputs["prev_output_tokens"] = inputs["src_tokens"]
    name = "src_tokens" if sources is None else "prev_output_tokens"
    tokens = inputs[name] = inputs[name][:, :_LONGEST]
    own = model.get_normalized_probs(model(**inputs), log_probs=True)
    feed = steps.begin(sources, len(tokens))
    for at, new in _division(tokens.shape[1]):
        found = steps.step(tokens[:, at : at + new].contiguous(), feed)
        real = tokens[:, at : at + new] != pad
        yield own[:, at : at + new][real], found[real]


def _division(length) -> Sequence[tuple[int, int]]:
    """(Start, count) of each step: the first two tokens at once, then one by one."""
    first = min(2, length)
    return [(0, first), *((at, 1) for at in range(first, length))]


def write_config(folder: str, model: BaseFairseqModel, words: Mapping[str, list[str]]) -> None:
    """Write ``config.json``: what a decoding loop around the files needs to know.

    Args:
        folder: folder of the files.
        model: fairseq model.
        words: dict of side -> words in the order of their ids.
    """
    dictionary = model.decoder.dictionary
    limits = {"longest": int(model.max_decoder_positions() if hasattr(model, "encoder") else model.max_positions())}
    special = {"begin": dictionary.eos(), "end": dictionary.eos(), "pad": dictionary.pad(), "unknown": dictionary.unk()}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({**special, **limits, "words": words}, file, ensure_ascii=False)
