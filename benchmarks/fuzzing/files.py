"""Cases of files: damaged and wrong checkpoints, records of drivers."""

import copy
import pickle
import shutil
import zipfile
from argparse import Namespace
from collections import OrderedDict

import torch

from fairseq_prune.cli.main import main
from fairseq_prune.pruning.packed_state import pack_checkpoint

from .shop import IMAGES, TRANSLATION, USER_DIR, run_fairseq, trains_here


class Executes:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return open, (self._path, "w")


def values(canary):
    """What may stand in a wrong place."""
    return [
        None, -1, 0, 10**30, 0.5, float("nan"), "", "x", b"\xff", [], [1, "a"], {}, {"a": {"b": 1}}, (), True,
        Namespace(a=1), torch.tensor(float("nan")), torch.zeros(0), torch.zeros(3, 5), torch.ones(2, 2, 2),
        torch.zeros(1).expand(10**6, 10**6), torch.tensor([1, 2]), torch.tensor([True, False]), torch.tensor(1j),
        torch.zeros(4, 4).to_sparse(), torch.zeros(4, dtype=torch.float16), torch.empty(3, device="meta"), "9" * 5000,
        f"__import__('os').system('touch {canary}')", [f"open({str(canary)!r}, 'w')"], "[" * 3000, OrderedDict(a=1),
    ]  # fmt: skip


class Checkpoints:
    """Mutants of three checkpoints, each given to something that reads it."""

    def __init__(self, shop):
        self._data = {"translation": shop.parallel, "language_model": shop.words, "classifier": "synthetic"}
        self._paths = {name: getattr(shop, name) for name in self._data}
        self._states = {name: torch.load(path, weights_only=False) for name, path in self._paths.items()}

    def __call__(self, rng, shop, canary):
        name, path = rng.choice([*self._data]), str(shop.scratch / "mutant.pt")
        draw = rng.choice([self._nested, self._nested, self._nested, self._bytes, self._foreign])
        told = draw(rng, name, path, canary)
        reader, run = self._reader(rng, name, path, shop)
        return f"{name}: {told}, to {reader}", run, ()

    def _nested(self, rng, name, path, canary):
        """Change one to three places in what the file holds."""
        state = copy.deepcopy(self._states[name])
        state["model"]._metadata = copy.deepcopy(getattr(self._states[name]["model"], "_metadata", {}))
        told = []
        if rng.random() < 0.3:
            state, told = pack_checkpoint(state), ["packed"]
        for _ in range(rng.choice([1, 1, 2, 3])):
            told.append(_change(rng, state, canary))
        torch.save(state, path)
        return told

    def _bytes(self, rng, name, path, canary):
        """Cut, turn, put in and leave out bytes."""
        with open(self._paths[name], "rb") as file:
            content = bytearray(file.read())
        place, kind = (
            rng.randrange(len(content)),
            rng.choice(["cut", "flip", "flip", "zero", "insert", "empty", "text"]),
        )
        if kind == "cut":
            del content[place:]
        elif kind == "flip":
            for at in rng.sample(range(len(content)), rng.choice([1, 10, 1000])):
                content[at] ^= 1 << rng.randrange(8)
        elif kind == "zero":
            content[place : place + 1000] = bytes(1000)
        elif kind == "insert":
            content[place:place] = rng.randbytes(50)
        else:
            content = b"" if kind == "empty" else b"not a checkpoint"
        with open(path, "wb") as file:
            file.write(content)
        return kind, place

    def _foreign(self, rng, name, path, canary):
        """Files of others: ones that would execute, and one that unpacks to far more than it is."""
        kind = rng.choice(["pickle", "state", "legacy", "bomb", "list", "tensor"])
        if kind == "bomb":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("archive/data.pkl", bytes(50_000_000))
        elif kind == "pickle":
            with open(path, "wb") as file:
                pickle.dump({"model": Executes(canary)}, file)
        else:
            wrong = {"list": [1, 2], "tensor": torch.ones(3)}
            state = {**self._states[name], rng.choice(["cfg", "model", "extra_state", "x"]): Executes(canary)}
            torch.save(wrong.get(kind, state), path, _use_new_zipfile_serialization=kind != "legacy")
        return kind

    def _reader(self, rng, name, path, shop):
        out, data = shop.scratch / "out.pt", self._data[name]
        commands = [
            ["inspect", path], ["inspect", path, "--json"], ["inspect", path, "--data", data],
            ["inspect", path, "--original", self._paths[name]], ["compact", path, out, "--batches", "1", "--overwrite"],
            ["prune", path, out, "--target", "0.5", "--overwrite"], ["pack", path, out, "--overwrite"],
            ["unpack", path, out, "--overwrite"], ["average", path, self._paths[name], out, "--overwrite"],
        ]  # fmt: skip
        if name == "classifier":
            few = ["--batches", "1", "--batch-size", "2", "--cpu"]
            commands += [["attack", path, "--attacks", "fgsm", *few], ["plot", path, "--scores", "scores.png", *few]]
        elif name == "language_model":
            folder = shop.scratch / f"sipo{rng.random()}"
            commands += [
                ["sipo", data, "--checkpoint", path, "--save-dir", folder, "--population", "2", "--generations", "1"]
            ]
        if name != "language_model" and rng.random() < 0.1:
            option = rng.choice(["--finetune-from-model", "--restore-file"])
            fixed = (IMAGES if name == "classifier" else TRANSLATION).split()
            words = [
                data,
                "--user-dir",
                USER_DIR,
                *fixed,
                option,
                path,
                "--save-dir",
                shop.scratch / f"run{rng.random()}",
            ]
            return f"fairseq-train {option}", lambda: run_fairseq("train", *words)
        command = [str(word) for word in rng.choice(commands)]
        return command[0], lambda: main(command)


def _change(rng, state, canary):
    """Put something else in a random place of a nested state; where, and what."""
    holder, where = state, []
    metadata = getattr(state.get("model"), "_metadata", None)
    if metadata and rng.random() < 0.15:
        holder, where = metadata, ["model", "_metadata"]
    while holder:
        key = rng.choice([*holder]) if isinstance(holder, dict) else rng.randrange(len(holder))
        where.append(key)
        inner = vars(holder[key]) if isinstance(holder[key], Namespace) else holder[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.25:
            break
        holder = inner
    kind = rng.choice(["value", "value", "value", "leave out", "rename", "nan", "shape"])
    old = holder[key]
    if kind == "value" or isinstance(holder, list):
        holder[key] = rng.choice(values(canary))
        return where, str(holder[key])[:60]
    if kind in ("nan", "shape") and torch.is_tensor(old):
        holder[key] = torch.full_like(old.float(), float("nan")) if kind == "nan" else torch.stack([old, old])
    else:
        del holder[key]
        if kind == "rename":
            holder[f"{key}x"] = old
    return where, kind


def records(rng, shop, canary):
    """A finished run of a driver, one of whose files is damaged, started again."""
    name = rng.choice(["sipo", "imp"])
    folder = shop.scratch / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(shop.folder / name, folder)
    path = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".txt"))
    content = bytearray(path.read_bytes())
    kind = rng.choice(["empty", "cut", "flip", "null", "list", "number", "deep", "remove"])
    if kind == "remove":
        path.unlink()
    elif kind in ("cut", "flip"):
        place = rng.randrange(len(content))
        content[place] ^= 1 << rng.randrange(8)
        path.write_bytes(content[: place if kind == "cut" else None])
    else:
        path.write_bytes(
            {"empty": b"", "null": b"null", "list": b"[]\n", "number": b"3\n", "deep": b"[" * 10_000}[kind]
        )
    words = [str(folder) if word == str(shop.folder / name) else word for word in getattr(shop, name)]

    def run():
        with trains_here():
            main(words)

    return f"{path.relative_to(folder)}: {kind}", run, ()
