#!/usr/bin/env bash
# Finetunes a cut model: scripts/srp/finetune.sh CHECKPOINT [fairseq-train options]. Parameters: common.sh.
source "$(dirname "$0")/common.sh"
checkpoint=${1:-$RUNS/stage2/checkpoint_last.pt}
shift $(($# > 0))
need CHECKPOINT "$checkpoint" "make it with scripts/srp/prune_two_stage.sh or prune_single.sh"
train finetuned --lr "$LR" --max-epoch "$FINETUNE_EPOCHS" --pretrained-model "$checkpoint" "$@"
