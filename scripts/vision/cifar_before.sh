#!/usr/bin/env bash
# Pruning before training on a subset of CIFAR-10: a table of docs/results.md.
#
#   scripts/vision/cifar_before.sh IMAGES [RUN ...]
#
# IMAGES is a folder of CIFAR-10 (of npz files, or of torchvision's). A RUN is NET-METHOD-FRACTION-SEED, e.g.
# vgg16-snap_it-0.93-1; without any, all of them run: of resnet20 weights by random, snip, snip_it, during_snip_it (after
# each epoch, until the learning rate falls) and grasp, nodes by random_nodes and snap_it, both by cnip_it; of vgg16 nodes.
# Every step is skipped once its result stands. ResNet-20 learns from 5,000 images for 10 epochs (of 40 updates), VGG-16 as
# in cifar_units.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
images=${1:?usage: scripts/vision/cifar_before.sh IMAGES [RUN ...], e.g. scripts/vision/cifar_before.sh ../shared/data/cifar10}
shift
. scripts/given.sh
images "$images"
all="resnet20-none-0-1 vgg16-none-0-1 vgg16-snap_it-0.93-1 vgg16-random_nodes-0.93-1 resnet20-snip_it-0.98-1"
all="$all resnet20-during_snip_it-0.98-1 resnet20-random-0.98-1"
for method in snip_it snap_it random random_nodes grasp snip cnip_it; do all="$all resnet20-$method-0.9-1"; done
. scripts/vision/runs.sh
common="--user-dir fairseq_prune --task prune_image_classification --image-set cifar10 --batch-size 128 $device"
runs=checkpoints/cifar-before

rows=
for run in ${*:-$all}; do
    IFS=- read -r net method fraction seed <<<"$run"
    case $net in
    resnet20)
        recipe="--arch resnet20 --max-train-images 5000 --lr-ft 0:0.1,6:0.01,9:0.001 --max-epoch 10"
        during="--prune-start 1ep --prune-every 1ep --prune-end 6ep --prune-lr 0.1 --lr-ft 0:0.01,3:0.001"
        ;;
    vgg16)
        recipe="--arch vgg16_bias --max-train-images 3000 --lr-ft 0:0.05,8:0.01,11:0.001 --max-epoch 12"
        during="--prune-start 1ep --prune-every 1ep --prune-end 8ep --prune-lr 0.05 --lr-ft 0:0.01,3:0.001"
        ;;
    *)
        echo "RUN $run: no such net; give e.g. vgg16-snap_it-0.93-1" >&2
        exit 2
        ;;
    esac
    options=$(early "$method" "$fraction" "$during")
    train "$runs/$run" $recipe --disable-validation --seed "$seed" $options
    evaluate "$runs/$run"
    rows="$rows $run=$runs/$run/test.log:$runs/$run/checkpoint_last.pt"
done
python3 scripts/vision/compare.py $rows
