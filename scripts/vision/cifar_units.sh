#!/usr/bin/env bash
# Weights, filters, stripes, patterns and N:M groups of VGG-16 on a subset of CIFAR-10: a table of docs/results.md.
#
#   scripts/vision/cifar_units.sh IMAGES [RUN ...]
#
# IMAGES is a folder of CIFAR-10 (of npz files, or of torchvision's). A RUN is METHOD-KIND-SEED, METHOD one of irregular,
# filter, stripe, pattern and n:m with the ratios of recipes/ddp, KIND own or random, which draws the same units of
# the same layers: filter-random-1; dense-0-1 is the control. Without any, all of them run. Every step is skipped once its
# result stands. VGG-16 learns from 3,000 images for 12 epochs (of 24 updates), with seed 1. From there each run takes 3
# more: what is removed is selected at the start and again after one epoch, and frozen after two; random is drawn once.
set -euo pipefail
cd "$(dirname "$0")/../.."
images=${1:?usage: scripts/vision/cifar_units.sh IMAGES [RUN ...], e.g. scripts/vision/cifar_units.sh ../shared/data/cifar10}
shift
. scripts/given.sh
images "$images"
all=dense-0-1
for method in irregular filter stripe pattern n:m; do all="$all $method-own-1 $method-random-1"; done
for seed in 2 3; do all="$all irregular-own-$seed irregular-random-$seed pattern-own-$seed pattern-random-$seed"; done
. scripts/vision/runs.sh
common="--user-dir fairseq_prune --task prune_image_classification --image-set cifar10 --batch-size 128 $device"
recipe="--arch vgg16_bias --max-train-images 3000 --disable-validation"
runs=checkpoints/cifar-units

rows=
train $runs/base $recipe --seed 1 --lr-ft 0:0.05,8:0.01,11:0.001 --max-epoch 12
for run in ${*:-$all}; do
    IFS=- read -r method kind seed <<<"$run"
    ratios="--prune-recipe recipes/ddp/vgg16_cifar10_${method/n:m/nm}.yaml"
    case $method in
    irregular) units=weight ;;
    pattern) units=pattern:seed ;;
    *) units=$method ;;
    esac
    case $run in
    dense-*) options="--lr-ft 0:0.01,2:0.001" ;;
    *-own-*) options="$ratios --prune-every 1ep --prune-freeze 2ep --prune-lr 0.01 --lr-ft 0:0.001" ;;
    *-random-*) options="$ratios --prune-method random --prune-units $units --prune-scope layer --lr-ft 0:0.01,2:0.001" ;;
    *)
        echo "RUN $run: no such kind; give e.g. filter-random-1" >&2
        exit 2
        ;;
    esac
    folder=$runs/${run/:/_} # a colon would part paths
    train "$folder" $recipe --seed "$seed" --finetune-from-model $runs/base/checkpoint_last.pt --max-epoch 3 $options
    evaluate "$folder"
    rows="$rows $run=$folder/test.log:$folder/checkpoint_last.pt"
done
python3 scripts/vision/compare.py $rows
