#!/usr/bin/env bash
# Whole heads, neurons and other structure out of a Transformer on Multi30k German-English: a table of docs/results.md.
#
#   scripts/multi30k_structure.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is UNITS-METHOD-TARGET-SEED, e.g. head-magnitude-0.5-1: UNITS of
# --prune-units, METHOD gradient (magnitude of weight times gradient, seen anew at every step) or one of --prune-method.
# Without any, all of them run. All start from the dense model of scripts/multi30k.sh, lose units during 252 updates, are
# cut and train for 252 more, as there. Training is skipped once its result stands; then all are evaluated anew, one
# after the other, so that their speeds can be compared.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh

text=${1:?usage: scripts/multi30k_structure.sh TEXT [RUN ...], e.g. scripts/multi30k_structure.sh ../shared/data/multi30k-de-en}
shift
all=""
for units in head neuron; do
    for seed in 1 2 3; do all="$all $units-gradient-0.5-$seed $units-random-0.5-$seed"; done
    all="$all $units-magnitude-0.5-1"
done
data=data-bin/multi30k
dense=checkpoints/multi30k/dense/checkpoint_best.pt
runs=checkpoints/multi30k-structure
device=$(device)

[ -e $dense ] || scripts/multi30k.sh "$text" dense

options="--user-dir fairseq_prune --arch transformer --share-all-embeddings --dropout 0.2
    --encoder-layers 4 --encoder-embed-dim 128 --encoder-ffn-embed-dim 256 --encoder-attention-heads 4
    --decoder-layers 4 --decoder-embed-dim 128 --decoder-ffn-embed-dim 256 --decoder-attention-heads 4
    --max-tokens 2048 --num-workers 0 --log-interval 50 --lr 1e-3 --warmup-updates 100 $device"

rows="dense=$runs/dense.test.log:$dense"
for run in ${*:-$all}; do
    IFS=- read -r units method target seed <<<"$run"
    case $method in
    gradient) method="magnitude --prune-importance sensitivity" ;;
    esac
    if [ ! -e "$runs/$run/done" ]; then
        scripts/prune.sh $data $dense "$runs/$run" "$target" 504 $options --seed "$seed" \
            --prune-units "$units" --prune-method $method
        touch "$runs/$run/done"
    fi
    rows="$rows $run=$runs/$run/checkpoint_last.test.log:$runs/$run/checkpoint_last.pt"
done

for row in $rows; do
    scripts/evaluate.sh $data "${row#*:}" $device
done
cp "${dense%.pt}.test.log" $runs/dense.test.log
python3 scripts/compare.py $rows
