"""Files that are no checkpoints of fairseq: what each is, in words, by our reader and by fairseq's."""

import os
import pickle

import pytest
import torch
from fairseq.checkpoint_utils import load_checkpoint_to_cpu

from fairseq_prune.compat import load_checkpoint

WEIGHTS = {"encoder.weight": torch.zeros(1000)}
SAVED = {  # content of torch.save -> reason
    "it holds no model, but encoder.weight": WEIGHTS,
    "it holds no model, but state_dict, epoch, optimizer …": {
        "state_dict": WEIGHTS, "epoch": 3, "optimizer": {}, "hyper_parameters": {},
    },
    "it holds no model, but nothing": {},
    "it holds list, and no model": [1],
    "it holds int, and no model": 3,
    "it holds Tensor, and no model": torch.zeros(2),
    "its model has no tensors": {"model": {}},
    "its model is not a mapping of names to tensors": {"model": 5},
    "it holds code or foreign classes, which are never loaded, or is damaged": torch.nn.Linear(1, 1),
}  # fmt: skip
NOT_OF_TORCH = "it is not of torch.save, but text or of another program"


@pytest.fixture(params=[load_checkpoint, load_checkpoint_to_cpu])
def refused(request, tmp_path, monkeypatch):
    """What is said of a file a.pt; fairseq's reader ends the program with it."""
    monkeypatch.chdir(tmp_path)

    def read():
        with pytest.raises((ValueError, SystemExit)) as caught:
            request.param("a.pt")
        return str(caught.value)

    return read


def unreadable(reason):
    give = "give a file that fairseq-train saved, e.g. checkpoints/checkpoint_best.pt"
    return f"checkpoint a.pt: not a readable fairseq checkpoint ({reason}); {give}"


@pytest.mark.parametrize("reason", SAVED)
def test_saved_by_torch(refused, reason):
    torch.save(SAVED[reason], "a.pt")
    assert refused() == unreadable(reason)


@pytest.mark.parametrize("text", [b"hello", b"some text", b"I\xad", b"\x10\0\0\0\0\0\0\0{}", b"\x89PNG\r\n\x1a\n"])
def test_not_of_torch(refused, text):
    """torch.load stumbles over each in another way."""
    with open("a.pt", "wb") as file:
        file.write(text)
    assert refused() == unreadable(NOT_OF_TORCH)


@pytest.mark.parametrize("part", [0.5, 0.99])
def test_cut_short(refused, part):
    torch.save({"model": WEIGHTS}, "a.pt")
    os.truncate("a.pt", int(part * os.path.getsize("a.pt")))
    assert refused() == unreadable("it is cut short; copy it again, or take the one before")


def test_pickled(refused):
    with open("a.pt", "wb") as file:
        file.write(pickle.dumps({"model": 1}))
    assert refused().startswith("checkpoint a.pt: not a readable fairseq checkpoint (it holds code or foreign classes")


def test_no_file(refused):
    assert refused() == "checkpoint a.pt: no such file; give e.g. checkpoints/checkpoint_best.pt"
    open("a.pt", "w").close()
    assert refused() == unreadable("it is empty")
    os.remove("a.pt")
    os.mkfifo("a.pt")  # reading it would wait for a writer
    assert refused().startswith("checkpoint a.pt: is not an ordinary file; give ")
    os.remove("a.pt")
    os.mkdir("a.pt")
    assert refused() == "checkpoint a.pt: is a folder; give a file in it, e.g. a.pt/checkpoint_best.pt"


def test_a_model_alone_is_read_by_us(tmp_path):
    """It has no settings to build it by, so fairseq refuses it."""
    torch.save({"model": WEIGHTS}, tmp_path / "a.pt")
    assert load_checkpoint(tmp_path / "a.pt")["model"].keys() == WEIGHTS.keys()
    with pytest.raises(SystemExit, match=r"\(it holds a model, but no optimizer_history as fairseq writes it\); give "):
        load_checkpoint_to_cpu(str(tmp_path / "a.pt"))
