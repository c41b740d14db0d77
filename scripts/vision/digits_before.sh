#!/usr/bin/env bash
# Pruning before and during training on scikit-learn's digits: a table and a plot of docs/results.md.
#
#   scripts/vision/digits_before.sh [RUN ...]
#
# A RUN is METHOD-FRACTION-SEED, e.g. snip_it-0.9-1; without any, all of them run: weights by random, snip, snip_it and grasp,
# nodes by random_nodes, snap, snap_it and gate_decorators, both by cnip_it, at 0.5 to 0.98, three seeds. Of hoyer_square,
# group_hoyer_square and l0 the middle is --prune-lambda, which decides how much is removed: l0-30-1; the plot has them at the
# fraction that was removed. late_random and late_magnitude remove nodes at the update at which gate decorators have removed
# theirs: what prunes late is compared with these. during_snip_it is snip_it after each of the epochs 1 to 6. A ResNet-8 learns for 8 epochs of 21 updates;
# what gates and the Hoyer forms remove is removed after 6, when the learning rate falls.
# Prints a table of the test set and writes checkpoints/digits-before/accuracy.png. Steps whose result stands are skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
all=
for seed in 1 2 3; do
    all="$all none-0-$seed"
    for fraction in 0.5 0.8 0.9 0.95 0.98; do
        for method in random snip snip_it during_snip_it grasp random_nodes snap snap_it cnip_it gate_decorators \
            late_random late_magnitude; do
            all="$all $method-$fraction-$seed"
        done
    done
    for lambda in 0.0003 0.001 0.003 0.01; do all="$all hoyer_square-$lambda-$seed"; done
    for lambda in 0.03 0.1 0.3 1; do all="$all group_hoyer_square-$lambda-$seed"; done
    for lambda in 5 10 20 30; do all="$all l0-$lambda-$seed"; done
done
. scripts/vision/runs.sh
images=digits
common="--user-dir fairseq_prune --task prune_image_classification --image-size 16 --batch-size 64 $device"
during="--prune-lr 0.1 --lr-ft 0:0.01" each="--prune-start 1ep --prune-every 1ep --prune-end 6ep"
runs=checkpoints/digits-before

rows= points=
for run in ${*:-$all}; do
    IFS=- read -r method fraction seed <<<"$run"
    folder=$runs/$run reached=
    case $method in
    hoyer_square | group_hoyer_square | l0)
        options="--prune-method $method --prune-lambda $fraction --prune-end 6ep $during"
        reached=nodes_removed
        [ "$method" = hoyer_square ] && reached=removed
        ;;
    gate_decorators)
        options="--prune-method $method --prune-target $fraction --prune-end 126up --prune-every 7up $during"
        options="$options --prune-tocks 2 --prune-ticks 1"
        ;;
    late_*) options=$(early "$method" "$fraction" "--prune-start 126up $during") ;;
    *) options=$(early "$method" "$fraction" "$each $during") ;;
    esac
    train "$folder" --arch resnet8 --lr-ft 0:0.1,6:0.01 --max-epoch 8 --seed "$seed" --disable-validation $options
    evaluate "$folder"
    found=$folder/test.log:$folder/checkpoint_last.pt
    rows="$rows $run=$found"
    [ -z "$reached" ] || fraction=$(grep -oE "\| $reached [0-9.]+" "$folder/log" | tail -n 1 | cut -d " " -f 3) || fraction=0
    points="$points $method-$fraction-$seed=$found"
done
python3 scripts/vision/compare.py $rows
python3 scripts/vision/plot.py $runs/accuracy.png $points
