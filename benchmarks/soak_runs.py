"""The runs that are killed: what is typed, in miniature, on data made here."""

import random
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

USER_DIR = str(Path(__file__).resolve().parents[1] / "fairseq_prune")
TINY = """--encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 16 --decoder-embed-dim 16
    --encoder-ffn-embed-dim 32 --decoder-ffn-embed-dim 32 --encoder-attention-heads 2 --decoder-attention-heads 2"""
TRAINS = "--cpu --num-workers 0 --log-format simple --log-interval 1000"
SAVES = "--save-interval-updates 4 --keep-interval-updates 1 --no-epoch-checkpoints"


@dataclass(frozen=True)
class Command:
    """A command line.

    Args:
        program: ``train`` of fairseq, or ``prune``.
        words: its arguments; ``@`` stands for the folder of the run, ``data:`` for that of the data.
    """

    program: str
    words: tuple

    def placed(self, folder, data):
        """The arguments with the folders in place, list of str."""
        return [word.replace("data:", f"{data}/").replace("@", str(folder)) for word in self.words]


@dataclass(frozen=True)
class Run:
    """Commands, one after the other.

    Args:
        kind: the row of the table it is counted in.
        name: what tells it from others of its kind.
        commands: tuple of :class:`Command`.
    """

    kind: str
    name: str
    commands: tuple


def make_data(folder, run_fairseq):
    """Write text of invented words, to translate into its reversal and to count on, and binarise it.

    Args:
        folder: a new one.
        run_fairseq: function of a program's name and its arguments.
    """
    rng = random.Random(1)
    for split, lines in (("train", 120), ("valid", 16), ("test", 8)):
        text = [[f"w{rng.randrange(40)}" for _ in range(rng.randint(3, 8))] for _ in range(lines)]
        _write(folder / f"{split}.de", text)
        _write(folder / f"{split}.en", [line[::-1] for line in text])
        starts = [rng.randrange(20) for _ in range(lines)]
        _write(folder / split, [[f"w{(start + i) % 20}" for i in range(rng.randint(4, 9))] for start in starts])
    pairs = [word for split in ("train", "valid", "test") for word in (f"--{split}pref", folder / split)]
    two = ["--source-lang", "de", "--target-lang", "en", "--joined-dictionary"]
    run_fairseq("preprocess", *two, *pairs, "--destdir", folder / "pairs")
    run_fairseq("preprocess", "--only-source", *pairs, "--destdir", folder / "lines")


def _write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(" ".join(line) + "\n" for line in lines))


TEXT = f"""data:pairs --task prune_translation --criterion label_smoothed_cross_entropy --max-tokens 180
    --max-epoch 4 --save-dir @/run {SAVES} {TRAINS}"""
TRANSFORMER = f"{TEXT} --arch transformer --share-all-embeddings --dropout 0.1 {TINY}"
LSTM = f"""{TEXT} --arch lstm --encoder-embed-dim 12 --encoder-hidden-size 12 --decoder-embed-dim 12
    --decoder-hidden-size 12 --decoder-out-embed-dim 12"""
RNN_LM = f"""data:lines --task prune_stateful_language_modeling --arch rnn_lm_tiny --criterion cross_entropy
    --batch-size 8 --batch-size-valid 2 --tokens-per-sample 14 --max-epoch 4 --save-dir @/run {SAVES} {TRAINS}"""
IMAGES = f"""synthetic --task prune_image_classification --arch resnet8 --criterion image_classification --image-size 8
    --max-train-images 96 --batch-size 16 --weight-decay 5e-4 --max-epoch 4 --save-dir @/run {SAVES} {TRAINS}"""

UPDATES = "--prune-target 0.6 --prune-schedule cubic --prune-start 4up --prune-end 14up --prune-every 5up"
FAST = "--update-reg-interval 2 --stabilize-reg-interval 2 --reg-granularity-prune 0.25 --reg-upper-limit 1"
STAGES = "--stage-pr [0,0.75,0.5,0.3,0]"
INNER = "--prune-only *layer*conv*"
TEXT_METHODS = {  # those that Transformers and recurrent models know, with what they need
    "none": "",
    "magnitude": UPDATES,
    "random": UPDATES,
    "given": "--prune-target 0.5 --prune-start 8up",
    "irregular": UPDATES,
    "n:m": "--prune-target 1:4 --prune-schedule linear --prune-end 14up --prune-every 5up",
    "admm": "--prune-target 0.6 --prune-freeze 14up --prune-every 5up",
    "movement": "--prune-target 0.6 --prune-end 14up",
    "soft_movement": "--prune-target 0.6 --prune-end 14up",
    "sr_ste": "--prune-target 1:4 --prune-freeze 14up",
    "set": "--prune-target 0.6 --prune-freeze 14up --prune-every 5up",
    "rigl": "--prune-target 0.6 --prune-freeze 14up --prune-every 5up",
    "skeleton": "--prune-target 0.6 --prune-units row --prune-scope layer --prune-end 14up",
    "hoyer_square": "--prune-target 0.6 --prune-end 14up",
    "snip": "--prune-target 0.6",
    "snip_it": "--prune-target 0.6 --prune-end 14up --prune-every 5up",
    "grasp": "--prune-target 0.6",
    "wanda": "--prune-target 0.6 --prune-end 14up --prune-every 5up --prune-schedule linear",
    "ria": "--prune-units 2:4 --prune-start 8up",
    "sparsegpt": "--prune-target 0.6 --prune-start 8up",
    "imp": "--prune-target 0.6 --prune-rewind 2up --prune-start 6up --prune-end 14up --prune-every 4up",
}
WIDTHS = {  # of architectures with connectivity
    "srp": "--prune-method srp --prune-target 0.5 --srp-pruning-updates 5 --prune-steps 2 --prune-start 4up",
    "srp_once": "--prune-method srp_once --prune-target 0.5 --prune-start 8up",
}
LAYERS = "--decoder-layers 2 --prune-only decoder.layers.* --prune-target 0.5 --prune-start 8up"
UNITS = {  # coupled ones
    **{name: f"--prune-method {name} {LAYERS}" for name in ("shortgpt", "layer_loss", "layer_gradient")},
    "neuron": "--prune-method l1 --prune-units neuron --prune-target 0.5 --prune-start 8up",
    "head": "--prune-method l1 --prune-units head --prune-target 0.5 --prune-start 8up",
    "growing neuron": f"--prune-method greg1 --prune-units neuron --prune-target 0.5 {FAST}",
}
IMAGE_METHODS = {
    "l1": f"{STAGES} --prune-start 8up",
    "greg1": f"{STAGES} {FAST}",
    "greg2": f"{STAGES} {FAST} --reg-upper-limit-pick 0.02 --reg-granularity-pick 0.01",
    "filter": "--prune-target 0.5 --prune-start 8up",
    "stripe": f"--prune-target 0.5 --prune-start 8up {INNER}",
    "patdnn": f"--prune-target 0.8 --prune-start 8up {INNER}",
    "skeleton": f"--prune-target 0.5 --prune-end 14up {INNER}",
    "admm": "--prune-units filter --prune-target 0.5 --prune-freeze 14up --prune-every 5up --prune-rho 0.1",
    "group_hoyer_square": "--prune-lambda 30 --prune-end 14up",
    "l0": "--prune-lambda 500 --prune-gate-lr 0.2 --prune-end 14up",
    "gate_decorators": "--prune-target 0.5 --prune-every 2up --prune-ticks 2 --prune-tocks 1 --prune-end 14up",
    "group_lasso": "--prune-lambda 0.1 --prune-end 14up",
    "snap": "--prune-target 0.8",
    "taylor": "--prune-target 0.5 --prune-schedule linear --prune-end 14up",
    "fisher": "--prune-target 0.5 --prune-schedule linear --prune-end 14up",
    "snap_it": "--prune-target 0.8 --prune-end 14up --prune-every 5up",
    "cnip_it": "--prune-target 0.8",
}
PLATEAU = "--lr-scheduler reduce_lr_on_plateau --lr-shrink 0.5 --lr-threshold 0.2 --lr-patience 1"
SCHEDULERS = [
    PLATEAU,
    "--lr-scheduler inverse_sqrt --warmup-updates 5",
    "--lr-scheduler phased --prune-lr 0.01 --lr-ft 0:0.01,1:0.005,2:0.002",
    "--lr-scheduler cosine --warmup-updates 3 --lr-period-updates 7 --t-mult 2",
    "--lr-scheduler polynomial_decay --total-num-update 60 --force-anneal 2 --warmup-updates 2",
    "--lr-scheduler fixed --force-anneal 2 --lr-shrink 0.5",
    "--lr-scheduler manual --update2lr {'8':0.002,'15':0.005}",
    "--lr-scheduler step --lr-deacy-period 6",
    "--lr-scheduler tri_stage --warmup-steps 4 --hold-steps 6 --decay-steps 12",
    "--lr-scheduler triangular --max-lr 0.02 --lr-period-updates 8",
]
OPTIMIZERS = [
    "--optimizer adam",
    "--optimizer adam --weight-decay 0.1 --clip-norm 0.5",
    "--optimizer sgd --momentum 0.9",
    "--optimizer adam --store-ema --ema-decay 0.9 --ema-update-freq 2",
    "--optimizer adagrad",
]
NO_AVERAGES = {"l0", "gate_decorators", "skeleton"}  # gates, which averages would miss


def made_runs():
    """Every run but the README's, list of :class:`Run`; schedulers and optimizers take turns over the methods."""
    text = {name: f"--prune-method {name} {words}" for name, words in TEXT_METHODS.items()}
    runs = [_train("Transformer", name, f"{TRANSFORMER} {words}") for name, words in {**text, **UNITS}.items()]
    srp = TRANSFORMER.replace("--arch transformer", "--arch srp_transformer")
    runs += [_train("SRP", name, f"{srp} {words}") for name, words in WIDTHS.items()]
    runs += [_train("LSTM", name, f"{LSTM} {text[name]}") for name in ("magnitude", "movement", "snip")]
    runs += [_train("CNN", name, f"{IMAGES} --prune-method {name} {words}") for name, words in IMAGE_METHODS.items()]
    runs = [_varied(run, turn) for turn, run in enumerate(runs)]
    plateau = f"{PLATEAU} --optimizer sgd --lr 2 --clip-norm 0.25"
    methods = ("none", "magnitude", "hoyer_square")
    runs += [_train("RNN LM", name, f"{RNN_LM} {plateau} {text[name]}") for name in methods]
    return runs + _imp()


def _train(kind, name, words):
    return Run(kind, name, (Command("train", ("--user-dir", USER_DIR, *shlex.split(words))),))


def _varied(run, turn):
    """The run with the scheduler and the optimizer whose turn it is."""
    (command,) = run.commands
    optimizers = [words for words in OPTIMIZERS if not ("ema" in words and run.name in NO_AVERAGES)]
    scheduler, optimizer = SCHEDULERS[turn % len(SCHEDULERS)], optimizers[turn % len(optimizers)]
    name = f"{run.name}, {scheduler.split()[1]}, {optimizer.split()[1]}"
    rate = [] if "phased" in scheduler else ["--lr", "0.01"]
    words = (*command.words, *shlex.split(optimizer), *rate, *scheduler.split())
    return replace(run, name=name, commands=(Command("train", words),))


def _imp():
    """``fairseq-prune imp``, from each point that it can rewind to."""
    train = f"""--train --task prune_image_classification --arch lenet300 --image-size 8 --max-train-images 96
        --batch-size 16 --criterion image_classification --optimizer sgd --momentum 0.9 --max-epoch 3
        --lr-scheduler phased --lr-ft 0:0.05,1:0.02,2:0.01 {TRAINS}"""
    words = "imp synthetic --save-dir @/run --target 0.3 --rewind {} " + train
    rewinds = ("0up", "1ep", "4up")
    return [Run("imp", at, (Command("prune", tuple(words.format(at).split())),)) for at in rewinds]
