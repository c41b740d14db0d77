#!/usr/bin/env bash
# Dense against pruned Transformers on Multi30k German-English: the table of docs/results.md.
#
#   scripts/multi30k.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is METHOD-TARGET-SEED, e.g. movement-0.8-1 or n:m-2:4-1:
#   longer-0-1        the dense model, trained as much longer; dense is that model alone
#   sparsegpt-0.8-1   all at once at the start, then as much training as the others, which prune during its first half
#   student-6+1-1     from scratch, as long as the dense model: 6 layers of the encoder and 1 of the decoder, normalised before
#                     each layer (after it, the decoder of one layer does not learn to look at the source)
#   movement+self-0.8-1, longer+self-0-1, student+self-6+1-1   the dense model is the teacher
# Without any, global and irregular magnitude, 2:4, movement and random run, with seed 1; scripts/multi30k_distil.sh runs
# others. Every step is skipped once its result stands, so an interrupted run continues where it stopped. Seeds vary the
# runs; the dense model is trained once, with seed 1. Environment variables: multi30k_options.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k.sh TEXT [RUN ...], e.g. scripts/multi30k.sh ../shared/data/multi30k-de-en}
shift
all="longer-0-1 n:m-2:4-1"
for target in 0.5 0.8 0.9; do all="$all magnitude-$target-1 random-$target-1"; done
for target in 0.8 0.9; do all="$all irregular-$target-1 movement-$target-1"; done
listed ${*:-$all}
begin "$text"

run() { # run METHOD TARGET SEED FOLDER [fairseq-train options]
    local method=$1 target=$2 seed=$3 folder=$4 SCHEDULE
    case $method in
    student)
        from_scratch "$folder" "$seed" $(options ${target/+/ }) --task prune_translation \
            --encoder-normalize-before --decoder-normalize-before "${@:5}"
        return
        ;;
    longer) method=magnitude ;;
    movement) method="movement --prune-every 1up" ;; # its scores have to be seen at every update
    sparsegpt) export SCHEDULE="" ;;
    esac
    once "$folder" scripts/prune.sh "$data" "$dense" "$folder" "$target" "$updates" $(options 4 4) --lr 1e-3 \
        --warmup-updates 100 --seed "$seed" --prune-method $method "${@:5}"
    translated "$folder/checkpoint_last.pt"
}

rows="dense=${dense%.pt}.test.log:$dense"
for name in ${*:-$all}; do
    IFS=- read -r method target seed <<<"$name"
    folder=$multi30k/${name//:/_} # fairseq takes a colon in --path for the end of a name
    which=last teacher=self
    case $method in
    dense) continue ;;
    student*) which=best teacher=$dense ;;
    esac
    [ "$method" != "${method%+self}" ] || teacher=
    run "${method%+self}" "$target" "$seed" "$folder" ${teacher:+--prune-teacher "$teacher"}
    rows="$rows $name=$folder/checkpoint_$which.test.log:$folder/checkpoint_$which.pt"
done
table $rows
