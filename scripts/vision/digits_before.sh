#!/usr/bin/env bash
# Pruning before training on scikit-learn's digits: a table and a plot of docs/results.md.
#
#   scripts/vision/digits_before.sh [RUN ...]
#
# A RUN is METHOD-FRACTION-SEED, e.g. snip_it-0.9-1; without any, all of them run: weights by random, snip, snip_it and grasp,
# nodes by random_nodes, snap and snap_it, at 0.5 to 0.98, three seeds. A ResNet-8 learns for 8 epochs of 21 updates.
# Prints a table of the test set and writes checkpoints/digits-before/accuracy.png. Steps whose result stands are skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 # keep freed buffers: faster on CPU
export OMP_WAIT_POLICY=PASSIVE                                # idle threads sleep

all=
for seed in 1 2 3; do
    all="$all none-0-$seed"
    for fraction in 0.5 0.8 0.9 0.95 0.98; do
        for method in random snip snip_it grasp random_nodes snap snap_it; do all="$all $method-$fraction-$seed"; done
    done
done
device=--cpu
python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' && device=
common="--user-dir fairseq_prune --task prune_image_classification --image-size 16 --batch-size 64 $device"
runs=checkpoints/digits-before

rows=
for run in ${*:-$all}; do
    IFS=- read -r method fraction seed <<<"$run"
    folder=$runs/$run
    case $method in
    none) options= ;;
    random_nodes) options="--prune-method random --prune-units node --prune-target $fraction" ;;
    *) options="--prune-method $method --prune-target $fraction" ;;
    esac
    if [ ! -e "$folder/test.log" ]; then
        mkdir -p "$folder"
        fairseq-train digits $common --arch resnet8 --criterion image_classification --optimizer sgd --momentum 0.9 \
            --weight-decay 5e-4 --lr-scheduler phased --lr-ft 0:0.1,6:0.01 --max-epoch 8 --num-workers 0 --seed "$seed" \
            --disable-validation --no-epoch-checkpoints --log-format simple --save-dir "$folder" $options \
            >"$folder/log" 2>&1 || { tail -n 3 "$folder/log" >&2; exit 1; }
        fairseq-validate digits $common --path "$folder/checkpoint_last.pt" --valid-subset test --log-format json \
            >"$folder/part.log" 2>&1
        mv "$folder/part.log" "$folder/test.log"
    fi
    rows="$rows $run=$folder/test.log:$folder/checkpoint_last.pt"
done
python3 scripts/vision/compare.py $rows
python3 scripts/vision/plot.py $runs/accuracy.png $rows
