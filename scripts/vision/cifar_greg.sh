#!/usr/bin/env bash
# GReg against one-shot pruning on a subset of CIFAR-10: a table of docs/results.md.
#
#   scripts/vision/cifar_greg.sh IMAGES [RUN ...]
#
# IMAGES is a folder of CIFAR-10 (of npz files, or of torchvision's). A RUN is KIND-RATIO-SEED, e.g. greg1-0.7-1;
# without any, all of them run. Prints a table of the test set. Every step is skipped once its result stands.
# A ResNet-20 learns from 5,000 images for 20 epochs (of 40 updates). Then, from the model of its seed:
#   greg1 greg2  a penalty grows for 4 epochs (--reg-fit: the paper's takes 119,000 updates), cut, finetune (6)
#   l1 rand      cut the smallest or random filters, finetune (6)
#   l1_long      the same, finetune (10): as many epochs as GReg in total
#   dense        no pruning, 10 epochs more
set -euo pipefail
cd "$(dirname "$0")/../.."
images=${1:?usage: scripts/vision/cifar_greg.sh IMAGES [RUN ...], e.g. scripts/vision/cifar_greg.sh ../shared/data/cifar10}
shift
. scripts/given.sh
images "$images"
all=
for seed in 1 2 3; do
    all="$all dense-0-$seed"
    for ratio in 0.7 0.5; do
        for kind in l1 rand greg1 greg2 l1_long; do all="$all $kind-$ratio-$seed"; done
    done
done
. scripts/vision/runs.sh
common="--user-dir fairseq_prune --task prune_image_classification --image-set cifar10 --batch-size 128 $device"
runs=checkpoints/cifar-greg

prune() { # prune KIND RATIO: options of one run
    local cut="--stage-pr [0,$2,$2,$2,0]" grow="--prune-end 160up --reg-fit --prune-lr 0.01 --max-epoch 10"
    case $1 in
    dense) echo "--lr-ft 0:0.01,7:0.001 --max-epoch 10" ;;
    l1) echo "--prune-method l1 $cut --lr-ft 0:0.01,4:0.001 --max-epoch 6" ;;
    l1_long) echo "--prune-method l1 $cut --lr-ft 0:0.01,7:0.001 --max-epoch 10" ;;
    rand) echo "--prune-method l1 --pick-pruned rand $cut --lr-ft 0:0.01,4:0.001 --max-epoch 6" ;;
    greg1 | greg2) echo "--prune-method $1 $cut $grow --lr-ft 0:0.01,4:0.001" ;;
    *)
        echo "RUN $1-$2: no such kind; give e.g. greg1-0.7-1" >&2
        exit 2
        ;;
    esac
}

recipe="--arch resnet20 --max-train-images 5000 --best-checkpoint-metric top1 --maximize-best-checkpoint-metric"
recipe="$recipe --log-interval 20"
rows=
for run in ${*:-$all}; do
    IFS=- read -r kind ratio seed <<<"$run"
    options=$(prune "$kind" "$ratio")
    train $runs/base-$seed $recipe --seed "$seed" --lr-ft 0:0.1,10:0.01,16:0.001 --max-epoch 20
    train "$runs/$run" $recipe --seed "$seed" --finetune-from-model "$runs/base-$seed/checkpoint_last.pt" $options
    evaluate "$runs/$run"
    rows="$rows $run=$runs/$run/test.log:$runs/$run/checkpoint_last.pt"
done
python3 scripts/vision/compare.py $rows
