#!/usr/bin/env bash
# Whole heads, neurons and other structure out of a Transformer on Multi30k German-English: a table of docs/results.md.
#
#   scripts/multi30k_structure.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is UNITS-METHOD-TARGET-SEED, e.g. head-magnitude-0.5-1: UNITS of
# --prune-units, METHOD gradient (magnitude of weight times gradient, seen anew at every step) or one of --prune-method;
# snap removes all at once at the start, group_lasso at the end of the 252 updates. With +self behind METHOD, as in
# head-taylor+self-0.5-1, the dense model is the teacher. "importances" are these runs, of all methods with and without it.
# Layers are removed from the decoder of a deeper model, of six layers on both sides, that is trained first: layer-shortgpt-0.34-1
# (by the hidden state), layer-layer_loss-0.34-1, layer-layer_gradient-0.34-1; 0.34 of six are two. All others start from
# the dense model of scripts/multi30k.sh. Units are removed during 252 updates and cut, and the rest trains for 252 more, as
# there. Without a RUN, all of them run. Every step is skipped once its result stands; SPEED=1 makes speeds comparable.
# Environment variables: multi30k_options.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k_structure.sh TEXT [RUN ...], e.g. scripts/multi30k_structure.sh ../shared/data/multi30k-de-en}
shift
all=""
for units in head neuron; do
    for seed in 1 2 3; do all="$all $units-gradient-0.5-$seed $units-random-0.5-$seed"; done
    all="$all $units-magnitude-0.5-1"
done
for seed in 1 2 3; do all="$all layer-shortgpt-0.34-$seed layer-random-0.34-$seed"; done
all="$all layer-layer_loss-0.34-1 layer-layer_gradient-0.34-1 layer-magnitude-0.34-1"
importances=""
for seed in 1 2 3; do
    for method in magnitude gradient taylor fisher group_lasso snap random; do
        for units in head neuron; do importances="$importances $units-$method-0.5-$seed $units-$method+self-0.5-$seed"; done
    done
done
asked=${*:-$all}
asked=${asked//importances/$importances}
deep=$multi30k/dense-6 runs=$checkpoints/multi30k-structure
listed $asked
begin "$text"

rows="dense=${dense%.pt}.test.log:$dense"
case "$asked" in
*layer-*)
    from_scratch "$deep" 1 $(options 6 6)
    rows="$rows dense-6=$deep/checkpoint_best.test.log:$deep/checkpoint_best.pt"
    ;;
esac
for run in $asked; do
    IFS=- read -r units method target seed <<<"$run"
    start=$dense more=$(options 4 4)
    [ "$method" = "${method%+self}" ] || more="$more --prune-teacher self"
    method=${method%+self}
    unset SCHEDULE
    case $method in
    gradient) method="magnitude --prune-importance sensitivity" ;;
    snap) export SCHEDULE="" ;;
    group_lasso) export SCHEDULE="--prune-end $((updates / 2))up" ;;
    esac
    case $units in
    layer) start=$deep/checkpoint_best.pt more="$(options 6 6) --prune-only decoder.layers.*" ;;
    esac
    once "$runs/$run" scripts/prune.sh "$data" "$start" "$runs/$run" "$target" "$updates" $more --lr 1e-3 \
        --warmup-updates 100 --seed "$seed" --prune-units "$units" --prune-method $method
    translated "$runs/$run/checkpoint_last.pt"
    rows="$rows $run=$runs/$run/checkpoint_last.test.log:$runs/$run/checkpoint_last.pt"
done
table $rows
