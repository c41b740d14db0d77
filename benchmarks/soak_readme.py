"""The README's and the pages' own commands among the runs that are killed, in miniature."""

import re
import shutil
import subprocess
from pathlib import Path

from soak_runs import TINY, TRAINS, Command, Run

ROOT = Path(__file__).resolve().parents[1]
SAVES = "--save-interval-updates 4 --keep-interval-updates 1"
SMALLER = {
    "--max-epoch": "4", "--max-update": "24", "--warmup-updates": "4", "--max-tokens": "250", "--prune-end": "12up",
    "--pruning-period": "2", "--image-size": "8", "--batch-size": "16", "--rounds": "2", "--max-drop": "0.05",
    "--eval-bleu-args": '{"beam": 1, "max_len_b": 5}',
}  # fmt: skip
PLACES = {
    "data-bin/iwslt14.tokenized.de-en": "data:pairs", "data-bin/mine": "data:pairs", "data-bin/ptb": "data:lines",
    "digits": "synthetic", "fairseq_prune": str(ROOT / "fairseq_prune"), "rnn_lm": "rnn_lm_tiny",
    "0:0.1,6:0.01": "0:0.1,2:0.01", "0:0.01,3:0.001": "0:0.01,1:0.001",
}  # fmt: skip
PLACES_OF = {  # what is trained -> page, and how the title of its section begins
    "Prune": ("README.md", "Prune"),
    "SRP": ("docs/srp.md", "From a base model"),
    "SiPO": ("docs/sipo.md", "Three commands"),
    "Vision": ("docs/vision.md", "Filters removed"),
}
MODEL = {"SRP": TINY, "Prune": TINY, "SiPO": "--batch-size 8 --batch-size-valid 2 --tokens-per-sample 14"}
MODEL["Vision"] = "--max-train-images 96"
SEARCH = "--population 2 --generations 2 --slack 0.5 --epochs 2".split()


def readme_runs():
    """List of :class:`~soak_runs.Run`; only what trains or prunes, not what measures."""
    own, srp, sipo, digits = map(_small, PLACES_OF)
    return [
        Run("README", "prune your own model", (_dense(own[0]), *own)),
        Run("README", "SRP's four commands", tuple(srp)),
        Run("README", "SiPO's two commands", tuple(sipo)),
        Run("README", "the digits' two commands", tuple(digits)),
    ]


def _small(title):
    """The commands of the section that has them."""
    page, heading = PLACES_OF[title]
    section = re.search(rf"\n## {heading}.*?\n```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)[1]
    return [_smaller(program, words, title) for program, *words in _spoken(section)]


def _spoken(script):
    """What a bash script would run, each command a list of words."""
    says = """() { printf '%s\\n' "${FUNCNAME[0]}" "$@"; echo; }\n"""
    quiet = "".join(f"{name}() {{ :; }}\n" for name in ("source", "fairseq-generate", "fairseq-validate"))
    script = f"fairseq-train{says}fairseq-prune{says}{quiet}{script}"
    command = [shutil.which("bash"), "-euc", script]
    done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=True)
    commands = [command.splitlines() for command in done.stdout.split("\n\n") if command]
    return [command for command in commands if command[:2] != ["fairseq-prune", "inspect"]]


def _smaller(program, words, title):
    placed = [PLACES.get(word, word.replace("checkpoints/", "@/")) for word in words]
    options = ["", *placed]
    small = [SMALLER.get(option, word) for option, word in zip(options, placed, strict=False)]
    small += [*MODEL[title].split(), *TRAINS.split()]
    if program == "fairseq-prune":
        small[small.index("--train") : small.index("--train")] = SEARCH
    else:
        small += SAVES.split()
    return Command(program.removeprefix("fairseq-"), tuple(small))


def _dense(command):
    """The training of the model that the README's reader has already."""
    words, ours = [], False
    for option, word in zip(["", *command.words], command.words, strict=False):
        ours = word.startswith(("--prune-", "--finetune-from-model")) or ours and option.startswith("--")
        if not ours:
            words.append(word.replace("@/pruned", "@/dense"))
    return Command("train", tuple(words))
