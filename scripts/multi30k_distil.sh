#!/usr/bin/env bash
# What a teacher is worth on Multi30k German-English: runs that learn from the dense model, and the same without it.
#
#   scripts/multi30k_distil.sh TEXT [SEED ...]
#
# TEXT holds train/valid/test2016.{de,en}. Prints two tables: 80 and 90 % removed by magnitude and movement in two epochs
# from the dense model of scripts/multi30k.sh; and Transformers of 6 + 1 and 12 + 1 layers from scratch, as long as
# the dense one. Every step is skipped once its result stands. Seed 1 if none is given.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k_distil.sh TEXT [SEED ...], e.g. scripts/multi30k_distil.sh ../shared/data/multi30k-de-en 1 2 3}
shift
seeds=${*:-1}
pruned=
for target in 0.8 0.9; do
    for method in magnitude movement; do
        for seed in $seeds; do pruned="$pruned $method-$target-$seed $method+self-$target-$seed"; done
    done
done
scripts/multi30k.sh "$text" $pruned

rows=
for layers in "6 1" "12 1"; do
    for seed in $seeds; do
        for teacher in "" "--prune-teacher $runs/dense/checkpoint_best.pt"; do
            name="student-${layers/ /+}${teacher:+-taught}-$seed"
            from_scratch "$runs/$name" "$seed" $(options $layers) --task prune_translation $teacher
            rows="$rows $name=$runs/$name/checkpoint_best.test.log:$runs/$name/checkpoint_best.pt"
        done
    done
done
python3 scripts/compare.py $rows
