#!/usr/bin/env bash
# Trains a ResNet-8 on scikit-learn's digits and cuts nine tenths of the filters inside its blocks, all on the CPU:
# `make demo-vision`.
#
# GReg-1 grows a penalty on the smallest filters (4 epochs), cuts them out and finetunes (4). The controls cut the
# smallest or random filters at once and finetune (8). A step whose result stands is skipped, so a second call only
# prints the table and a killed demo continues where it stopped. Logs lie in checkpoints/demo-vision. Needs .venv/bin
# on PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/steps.sh

steps=5
runs=checkpoints/demo-vision

train() { # train NAME OPTION...
    fairseq-train digits --user-dir fairseq_prune --task prune_image_classification --arch resnet8 --image-size 16 \
        --criterion image_classification --batch-size 64 --optimizer sgd --momentum 0.9 --weight-decay 5e-4 \
        --lr-scheduler phased --seed 1 --cpu --num-workers 0 --valid-subset valid,test --no-epoch-checkpoints \
        --log-format json --save-dir "$runs/$1" "${@:2}"
}
prune() { # prune NAME OPTION...
    train "$1" --finetune-from-model $runs/dense/checkpoint_last.pt --stage-pr [0,0.9,0.9,0.9,0] --max-epoch 8 "${@:2}"
}
row() { # row NAME STEP
    echo "$1=$runs/step$2.log:$runs/$1/checkpoint_last.pt"
}

mkdir -p $runs
step "Train a ResNet-8 (20 s)" $runs/dense/done train dense --lr-ft 0:0.1,6:0.01 --max-epoch 8
step "GReg-1: grow a penalty on 90 % of the filters, cut, finetune (20 s)" $runs/greg1/done \
    prune greg1 --prune-method greg1 --prune-end 84up --reg-fit --prune-lr 0.01 --lr-ft 0:0.05,3:0.005
step "Control: cut the smallest 90 % at once, finetune (20 s)" $runs/l1/done \
    prune l1 --prune-method l1 --lr-ft 0:0.05,7:0.005
step "Control: cut a random 90 % at once, finetune (20 s)" $runs/rand/done \
    prune rand --prune-method l1 --pick-pruned rand --lr-ft 0:0.05,7:0.005
echo "[5/$steps] Compare"
python3 scripts/vision/compare.py --speed "$(row dense 1)" "$(row greg1 2)" "$(row l1 3)" "$(row rand 4)"
