#!/usr/bin/env bash
# SRP in one stage: scripts/srp/prune_single.sh [fairseq-train options]. Parameters: common.sh.
source "$(dirname "$0")/common.sh"
need BASE "$BASE" "train one with scripts/srp/train_base.sh, or name a checkpoint of yours"
train single --lr "$LR" --srp --compression-rate "$RATE" --pruning-stage 0 --pruning-iter 1 \
    "${shrinking[@]}" --decreasing "$DECREASING" --srp-score "$SCORE" --pretrained-model "$BASE" "$@"
