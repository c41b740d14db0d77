#!/usr/bin/env bash
# SRP in two stages, residual widths first: scripts/srp/prune_two_stage.sh [fairseq-train options]. Parameters: common.sh.
source "$(dirname "$0")/common.sh"
need BASE "$BASE" "train one with scripts/srp/train_base.sh, or name a checkpoint of yours"
stage() { # stage NUMBER PRETRAINED [options]
    local number=$1 pretrained=$2
    shift 2
    train "stage$number" --lr "$LR" --srp --compression-rate "$RATE" --pruning-stage "$number" --pruning-iter 1 \
        "${shrinking[@]}" --decreasing "$DECREASING" --srp-score "$SCORE" --pretrained-model "$pretrained" "$@"
}
stage 1 "$BASE" "$@"
stage 2 "$RUNS/stage1/checkpoint_last.pt" "$@"
