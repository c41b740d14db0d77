#!/usr/bin/env bash
# The baseline: cuts at once, then trains as finetune.sh does: scripts/srp/prune_one_shot.sh [options]. Parameters: common.sh.
source "$(dirname "$0")/common.sh"
need BASE "$BASE" "train one with scripts/srp/train_base.sh, or name a checkpoint of yours"
train one_shot --lr "$LR" --compression-rate "$RATE" --srp-score "$SCORE" --max-epoch "$FINETUNE_EPOCHS" --pretrained-model "$BASE" "$@"
