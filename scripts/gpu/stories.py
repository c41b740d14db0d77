"""What is done with models, step by step: SRP, SiPO, two processes, cutting, translating."""

import re

import soak_runs as runs
from places import SIMULATED
from right import check, differences, faults_of

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.files.json_file import read_json

COMMON = f"--user-dir {runs.USER_DIR} --optimizer adam --lr 0.01 --keep-interval-updates -1"
MAGNITUDE = f"--prune-method magnitude {runs.TEXT_METHODS['magnitude']}"
TRANSFORMER = f"{runs.TRANSFORMER} {COMMON}"
SRP = f"{runs.TRANSFORMER} {COMMON}".replace("--arch transformer", "--arch srp_transformer").replace(
    "--task prune_translation", "--task srp_translation"
)
SHRINK = "--srp --compression-rate 0.5 --srp-pruning-updates 12 --srp-score-batches 2 --max-update 14"
RATE = 0.5  # of SRP: what is left
FLAT = ("--fp16", "--bf16")  # masters are one tensor, out of which nothing is cut


def unpruned(place, precision):
    """Without options a run is fairseq's own, to the last bit."""
    plain = TRANSFORMER.replace("prune_translation", "translation").replace(f"--user-dir {runs.USER_DIR}", "")
    place.run("train", f"{plain} {precision}")
    place.run("train", f"{TRANSFORMER} {precision}".replace("@/run", "@/ours"), log="ours.log")
    check(_other_weights(place.folder / "run", place.folder / "ours"))


def srp_in_stages(place, precision):
    """Residual widths, then the others, then finetuning: as many parameters as were asked for, and resumed alike."""
    base = _stage(place, "base", precision)
    first = _stage(place, "stage1", f"{precision} {SHRINK} --pruning-stage 1", base)
    second = _stage(place, "stage2", f"{precision} {SHRINK} --pruning-stage 2", first)
    end = _stage(place, "finetuned", f"{precision} --max-update 4", second)
    whole, one, two, finetuned = (_left(path) for path in (base, first, second, end))
    later = precision in FLAT  # the next run cuts what a run has shrunk
    steps = whole == one > two > finetuned if later else whole > one > two == finetuned
    right = steps and (RATE - 0.1) * whole < finetuned <= RATE * whole
    check([] if right else [f"parameters: {whole}, {one}, {two}, {finetuned}"])


def srp_resumed(place, precision):
    """Interrupted while it shrinks."""
    base = _stage(place, "base", precision)
    shrink = f"{precision} {SHRINK} --pruning-stage 0 --pretrained-model {base}"
    whole = _stage(place, "whole", shrink).parent
    place.begin("part", whole)
    check(differences(whole, _stage(place, "part", shrink).parent))


def _stage(place, name, words, start=None):
    """Train a stage in a folder of its own; its last checkpoint."""
    command = f"{SRP} {words}" + (f" --pretrained-model {start}" if start else "")
    place.run("train", command.replace("@/run", f"@/{name}"), log=f"{name}.log")
    return place.folder / name / "checkpoint_last.pt"


def translated(place, precision):
    """A pruned model translates on this device as on the CPU; in half precision it translates."""
    place.run("train", f"{TRANSFORMER} {precision} {MAGNITUDE}")
    words = f"""data:pairs --user-dir {runs.USER_DIR} --task prune_translation --path @/run/checkpoint_last.pt --beam 4
        --num-workers 0 --required-batch-size-multiple 1"""
    place.run("generate", f"{words} --cpu", log="here.log")
    place.run("generate", f"{words} --cpu ", log="there.log", card="")
    here, there = (_hypotheses(place.folder / log) for log in ("here.log", "there.log"))
    check([] if len(here) == 8 and here == there else [f"{len(here)} sentences, {here ^ there} differ"])
    if precision == "--fp16":
        place.run("generate", f"{words} --fp16", log="half.log")
        check([] if len(_hypotheses(place.folder / "half.log")) == 8 else ["not all sentences"])


def _hypotheses(log):
    """Sentence numbers and translations, set of (str, str)."""
    return set(re.findall(r"^H-(\d+)\t[^\t]+\t(.*)$", log.read_text(), re.MULTILINE))


def compacted(place, precision):
    """Neurons masked under averages are cut out of the file, which then translates."""
    neurons = f"{runs.UNITS['neuron']} --store-ema --ema-decay 0.9"
    place.run("train", f"{TRANSFORMER} {precision} {neurons}")
    place.run("prune", "compact @/run/checkpoint_last.pt @/small.pt --data data:pairs", log="compact.log")
    before, after = (_left(place.folder / name) for name in ("run/checkpoint_last.pt", "small.pt"))
    neurons, width = 32, 16
    lost = neurons * (2 * width + 1)  # a row, a column and a bias each
    check([] if before - after == lost else [f"{before - after} parameters cut, {lost} asked"])


def searched(place, precision):
    """SiPO's search and one round of retraining: what is removed is zero, and counted."""
    lm = f"{runs.RNN_LM} --optimizer sgd --lr 2 --clip-norm 0.25 {precision}"
    place.run("train", f"{lm} --user-dir {runs.USER_DIR}")
    for own in ("data:lines", "--save-dir @/run", "--max-epoch 4", runs.SAVES):  # sipo itself says these
        lm = lm.replace(own, "")
    search = "--group stage --generations 3 --population 6 --rounds 1 --epochs 1 --slack 1"
    begin = "sipo data:lines --checkpoint @/run/checkpoint_best.pt --save-dir @/sipo"
    place.run("prune", f"{begin} {search} --train {lm}", log="sipo.log")
    summary = read_json(place.folder / "sipo" / "summary.json")
    best = load_checkpoint(place.folder / "sipo" / "best.pt")
    zeros = sum(int((value == 0).sum()) for value in best["model"].values())
    asked = summary["rounds"][0]["search"]["pruned"]
    check([] if zeros >= asked > 0 else [f"{zeros} zeros, {asked} asked"])


def on_two_processes(place, precision):
    """Two processes agree and end at the exact fraction, by nccl on two cards, else by gloo (no card: on the CPU)."""
    cards = [card for card in place.device.cards if card != SIMULATED]
    backend = "nccl" if len(cards) > 1 else "gloo"
    words = f"""{TRANSFORMER} {precision} {MAGNITUDE} --distributed-world-size 2 --distributed-no-spawn
        --distributed-backend {backend} --distributed-init-method file://@/meet --max-tokens 90"""
    own = ["".join(cards[rank : rank + 1] or cards[:1]) for rank in (0, 1)]
    place.wait([place.start("train", f"{words} --distributed-rank {rank}", f"rank{rank}.log", own[rank])
                for rank in (0, 1)])  # fmt: skip
    check(faults_of(place.folder / "run", "magnitude", words))


def _left(path):
    """Parameters of a checkpoint (count), shared ones once."""
    model = load_checkpoint(path)["model"]
    weights = [v for name, v in model.items() if not name.endswith(("_c", "_mask", "norm", "version"))]
    return sum({v.data_ptr(): v.numel() for v in weights}.values())


def _other_weights(one, two):
    a, b = (load_checkpoint(folder / "checkpoint_last.pt")["model"] for folder in (one, two))
    return [f"{name} differs" for name in a if not a[name].equal(b[name])]


EVERY, STOCK, ALONE = "every precision", "those of fairseq", "fp32"
SHARED = "every precision on cards; between simulated ones nothing is exchanged, so there on the CPU in fp32"
STORIES = {  # name: function of a place and options of the precision, and which it is told in
    "unpruned": (unpruned, STOCK),
    "on two processes": (on_two_processes, SHARED),
    "SRP in stages": (srp_in_stages, EVERY),
    "SRP resumed": (srp_resumed, EVERY),
    "translated": (translated, EVERY),
    "SiPO": (searched, ALONE),
    "compacted": (compacted, ALONE),
}
