#!/usr/bin/env bash
# Dense against pruned Transformers on Multi30k German-English: the table of docs/results.md.
#
#   scripts/multi30k.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is METHOD-TARGET-SEED, e.g. movement-0.8-1 or n:m-2:4-1; longer-0-1
# trains the dense model as much longer, dense is that model alone, movement+self-0.8-1 has it as its teacher. Without
# any, all but those with a teacher run, with seed 1 (scripts/multi30k_distil.sh runs those).
# Every step is skipped once its result stands, so an interrupted run continues where it stopped. Seeds vary the
# pruning and finetuning runs; the dense model is trained once, with seed 1.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k.sh TEXT [RUN ...], e.g. scripts/multi30k.sh ../shared/data/multi30k-de-en}
shift
all="longer-0-1 n:m-2:4-1"
for target in 0.5 0.8 0.9; do all="$all magnitude-$target-1 random-$target-1"; done
for target in 0.8 0.9; do all="$all irregular-$target-1 movement-$target-1"; done
[ -d $data ] || scripts/prepare.sh "$text" $data de en 6000

common=$(options 4 4)
from_scratch $runs/dense 1 $common

updates=504 # two epochs: weights are removed during the first half, the second half fine-tunes
rows="dense=$runs/dense/checkpoint_best.test.log:$runs/dense/checkpoint_best.pt"
for run in ${*:-$all}; do
    IFS=- read -r method target seed <<<"$run"
    out=$runs/${run//:/_} # fairseq takes a colon in --path for the end of a name
    teacher=
    [ "$method" = "${method%+self}" ] || teacher="--prune-teacher self"
    method=${method%+self}
    case $method in
    dense) continue ;;
    longer) method=magnitude ;;
    movement) method="movement --prune-every 1up" ;; # its scores have to be seen at every update
    esac
    if [ ! -e "$out/checkpoint_last.test.log" ]; then
        scripts/prune.sh $data $runs/dense/checkpoint_best.pt "$out" "$target" $updates $common --lr 1e-3 \
            --warmup-updates 100 --seed "$seed" --prune-method $method $teacher
        scripts/evaluate.sh $data "$out/checkpoint_last.pt" $device
    fi
    rows="$rows $run=$out/checkpoint_last.test.log:$out/checkpoint_last.pt"
done
python3 scripts/compare.py $rows
