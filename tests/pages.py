"""The bash blocks of README and docs, as the commands that bash makes of them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROGRAMS = """fairseq-train fairseq-hydra-train fairseq-generate fairseq-validate fairseq-eval-lm fairseq-preprocess
    fairseq-prune make subword-nmt python3 curl tar""".split()
TOOLS = """awk basename bash cat chmod cksum cp cut dirname env flock grep ls mkdir mktemp mv paste rm sort tail tee
    touch wc""".split()
LOOPS = re.compile(
    r"(for (?:seed|fraction|ratio|lambda|target) in )([^\s;$]+) [^;\n]*"
)  # all values, of which one will do
PREPARED = re.compile(r"prepare(?:_iwslt14\.sh()|\w*\.sh \S+ (\S+))")  # the folder, or that of IWSLT'14
SPLITS, SIDES = ("train", "valid", "test", "test2016"), ("de", "en", "txt")
RECIPE = "prune-method: magnitude\nprune-target: 0.5"
# Stands for every program: notes its words, and leaves behind what scripts that call it look for.
STAND_IN = r"""#!{bash}
name=${{0##*/}}
case "$name:${{1:-}}:${{2:-}}" in
python3:-c:*torch*) echo --cpu; exit ;; # whether there is a GPU
python3:*iwslt14_text.py:*)
    mkdir "$3"
    for text in {{train,valid,test}}.{{de,en}}; do echo a >"$3/$text"; done ;;
python3:-c:*) echo 0; exit ;;           # the best round
subword-nmt:apply-bpe:*) exec cat ;;
esac
case $name in
subword-nmt | curl | tar) ;;
*) {{ printf '%s\0' "$name" "$@"; printf '\n\0'; }} >>"$SPOKEN" ;;
esac
echo "Generate test with beam=5: BLEU4 = 1, 1 sentences/s"
case "$name:${{1:-}}" in
fairseq-prune:prune | fairseq-prune:*pack | fairseq-prune:compact | fairseq-prune:export) : >"$3" ;;
fairseq-prune:imp) mkdir -p "$4"/round-{{0,4}}; for round in 0 4; do : >"$4/round-$round/checkpoint_last.pt"; done ;;
esac
while [ $# -gt 0 ]; do
    case $1 in
    --save-dir | --destdir)
        [ -d "$2" ] || mkdir -p "$2"
        for file in checkpoint_{{best,last}}.pt best.pt summary.json search-0.jsonl record.txt dict.{{de,en}}.txt; do
            : >"$2/$file"
        done
        echo "$RECIPE" >"$2/rates-0.yaml" ;;
    --recipe) echo "$RECIPE" >"$2" ;;
    -o) : >"$2" ;;
    esac
    shift
done
"""


def pages():
    """All pages, by their path below the repository."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]


def blocks(page):
    """The bash blocks of a page, as text, in order; those in lists are indented."""
    return [match[2] for match in re.finditer(r"^( *)```bash\n(.*?)^\1```", text_of(page), re.DOTALL | re.MULTILINE)]


def text_of(page):
    return (ROOT / page).read_text()


class World:
    """A folder like the repository's, where bash finds nothing but stand-ins; loops over seeds run once.

    Args:
        folder: where it is made.
        given: files that are there.
        texts: folders of parallel text.
    """

    def __init__(self, folder, given, texts):
        self.folder = folder / "work" / "main"
        self.programs, self.spoken = folder / "bin", folder / "spoken"
        shutil.copytree(ROOT / "recipes", self.folder / "recipes")
        for script in [*ROOT.glob("scripts/**/*.sh"), *ROOT.glob("scripts/**/*.py")]:
            self.write(script.relative_to(ROOT), LOOPS.sub(r"\1\2", script.read_text()), script.stat().st_mode)
        for name in (*given, *(f"{name}/{split}.{side}" for name in texts for split in SPLITS for side in SIDES)):
            self.write(name, "# a b c\n" * 9)
        self.programs.mkdir()
        for name in TOOLS:
            (self.programs / name).symlink_to(shutil.which(name))
        for name in PROGRAMS:
            self.write(self.programs / name, STAND_IN.format(bash=shutil.which("bash")), 0o755)

    def write(self, name, text, mode=0o644):
        """A file of this text."""
        path = Path(os.path.normpath(self.folder / name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def commands(self, block):
        """What a block would run, in order: lists of words, scripts' own commands in their place."""
        self.spoken.write_text("")
        for _, folder in PREPARED.findall(block):  # it refuses one that is there
            shutil.rmtree(self.folder / (folder or "data-bin/iwslt14.tokenized.de-en"), ignore_errors=True)
        command = [shutil.which("bash"), "-euo", "pipefail", "-c", LOOPS.sub(r"\1\2", block)]
        environment = {"PATH": str(self.programs), "SPOKEN": str(self.spoken), "RECIPE": RECIPE}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr[-2000:]}"
        words = self.spoken.read_text().replace(f"{self.folder}/", "")
        return [said.split("\0")[:-1] for said in words.split("\n\0") if said]
