#!/usr/bin/env bash
# Pruning before training on a subset of CIFAR-10: a table of docs/results.md.
#
#   scripts/vision/cifar_before.sh IMAGES [RUN ...]
#
# IMAGES is a folder of CIFAR-10 (of npz files, or of torchvision's). A RUN is METHOD-FRACTION-SEED, e.g. snip_it-0.9-1;
# without any, all of them run: weights by random, snip, snip_it and grasp, nodes by random_nodes and snap_it, both by
# cnip_it, at 0.9, and the dense net. Every step is skipped once its result stands. A ResNet-20 learns from 5,000
# images for 10 epochs (of 40 updates).
set -euo pipefail
cd "$(dirname "$0")/../.."
images=${1:?usage: scripts/vision/cifar_before.sh IMAGES [RUN ...], e.g. scripts/vision/cifar_before.sh ../shared/data/cifar10}
shift
all=none-0-1
for method in snip_it snap_it random random_nodes grasp snip cnip_it; do all="$all $method-0.9-1"; done
. scripts/vision/runs.sh
common="--user-dir fairseq_prune --task prune_image_classification --image-set cifar10 --batch-size 128 $device"
recipe="--arch resnet20 --max-train-images 5000 --disable-validation --lr-ft 0:0.1,6:0.01,9:0.001 --max-epoch 10"
runs=checkpoints/cifar-before

rows=
for run in ${*:-$all}; do
    IFS=- read -r method fraction seed <<<"$run"
    case $method in
    none) options= ;;
    random_nodes) options="--prune-method random --prune-units node --prune-target $fraction" ;;
    *) options="--prune-method $method --prune-target $fraction" ;;
    esac
    train "$runs/$run" $recipe --seed "$seed" $options
    evaluate "$runs/$run"
    rows="$rows $run=$runs/$run/test.log:$runs/$run/checkpoint_last.pt"
done
python3 scripts/vision/compare.py $rows
