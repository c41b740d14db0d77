#!/usr/bin/env bash
# Trains a small ResNet on the digits of scikit-learn and cuts filters out of it, all on the CPU: `make demo-vision`.
#
# GReg-1 grows a penalty on the smallest filters (6 epochs), cuts them out and finetunes (4). The controls cut the
# smallest and random filters at once and finetune for as many epochs in total. A step whose result stands is
# skipped, so a second call only prints the table and a killed demo goes on where it stopped. Logs lie in
# checkpoints/demo-vision. Needs .venv/bin on PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/steps.sh

steps=9
runs=checkpoints/demo-vision
common="--user-dir fairseq_prune --task prune_image_classification --image-size 16 --batch-size 64 --cpu --num-workers 0"
ratios=[0,0.7,0.7,0.7,0]

train() { # train NAME OPTION...
    fairseq-train digits $common --arch resnet8 --criterion image_classification --seed 1 \
        --optimizer sgd --momentum 0.9 --weight-decay 5e-4 --lr-scheduler phased \
        --best-checkpoint-metric top1 --maximize-best-checkpoint-metric --no-epoch-checkpoints \
        --log-format simple --save-dir "$runs/$1" "${@:2}"
}
prune() { # prune NAME OPTION...
    train "$1" --finetune-from-model $runs/dense/checkpoint_last.pt --stage-pr $ratios --max-epoch 10 "${@:2}"
}
classify() { # classify NAME: the test set with the last checkpoint
    local log=$runs/$1/test.log
    fairseq-validate digits $common --path "$runs/$1/checkpoint_last.pt" --valid-subset test --log-format json \
        >"$log.part" 2>&1 && mv "$log.part" "$log"
}

mkdir -p $runs
step "Train a ResNet-8 (8 epochs)" $runs/dense/done train dense --lr-ft 0:0.1,6:0.01 --max-epoch 8
step "GReg-1: grow a penalty, cut 70 % of the filters, finetune" $runs/greg1/done \
    prune greg1 --prune-method greg1 --prune-end 126up --reg-fit --prune-lr 0.01 --lr-ft 0:0.01,3:0.001
step "Control: cut the smallest 70 % at once, finetune" $runs/l1/done \
    prune l1 --prune-method l1 --lr-ft 0:0.01,9:0.001
step "Control: cut random 70 % at once, finetune" $runs/rand/done \
    prune rand --prune-method l1 --pick-pruned rand --lr-ft 0:0.01,9:0.001
rows=
for name in dense greg1 l1 rand; do
    step "Classify the test set: $name" $runs/$name/test.log classify $name
    rows="$rows $name=$runs/$name/test.log:$runs/$name/checkpoint_last.pt"
done
echo "[9/$steps] Compare"
python3 scripts/vision/compare.py --speed $rows
