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
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 # keep freed buffers: faster on CPU
export OMP_WAIT_POLICY=PASSIVE                                # idle threads sleep

images=${1:?usage: scripts/vision/cifar_greg.sh IMAGES [RUN ...], e.g. scripts/vision/cifar_greg.sh ../shared/data/cifar10}
shift
all=
for seed in 1 2 3; do
    all="$all dense-0-$seed"
    for ratio in 0.7 0.5; do
        for kind in l1 rand greg1 greg2 l1_long; do all="$all $kind-$ratio-$seed"; done
    done
done
device=--cpu
python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' && device=
common="--user-dir fairseq_prune --task prune_image_classification --image-set cifar10 --batch-size 128 $device"
runs=checkpoints/cifar-greg

train() { # train FOLDER OPTION...
    local folder=$1
    shift
    mkdir -p "$folder"
    fairseq-train "$images" $common --arch resnet20 --max-train-images 5000 --criterion image_classification \
        --optimizer sgd --momentum 0.9 --weight-decay 5e-4 --lr-scheduler phased --num-workers 0 \
        --best-checkpoint-metric top1 --maximize-best-checkpoint-metric --no-epoch-checkpoints \
        --log-format simple --log-interval 20 --save-dir "$folder" "$@" >>"$folder/log" 2>&1 || { tail -n 3 "$folder/log" >&2; exit 1; }
}
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

rows=
for run in ${*:-$all}; do
    IFS=- read -r kind ratio seed <<<"$run"
    base=$runs/base-$seed/checkpoint_last
    options=$(prune "$kind" "$ratio")
    [ -e "$runs/base-$seed/done" ] || train $runs/base-$seed --seed "$seed" --lr-ft 0:0.1,10:0.01,16:0.001 --max-epoch 20
    touch "$runs/base-$seed/done"
    last=$runs/$run/checkpoint_last.pt
    if [ ! -e "$runs/$run/test.log" ]; then
        train "$runs/$run" --seed "$seed" --finetune-from-model $base.pt $options
        fairseq-validate "$images" $common --path "$last" --valid-subset test --log-format json >"$runs/$run/part.log" 2>&1
        mv "$runs/$run/part.log" "$runs/$run/test.log"
    fi
    rows="$rows $run=$runs/$run/test.log:$last"
done
python3 scripts/vision/compare.py $rows
