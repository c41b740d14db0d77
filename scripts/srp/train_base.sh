#!/usr/bin/env bash
# Trains a dense SRP Transformer: scripts/srp/train_base.sh [fairseq-train options]. Parameters: common.sh.
source "$(dirname "$0")/common.sh"
train base --lr "$LR" --lr-scheduler inverse_sqrt --warmup-updates "$WARMUP" --max-epoch "$BASE_EPOCHS" "$@"
