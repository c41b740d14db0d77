#!/usr/bin/env bash
# Translates the test set: scripts/srp/evaluate.sh [CHECKPOINT] [fairseq-generate options]. Parameters: common.sh.
source "$(dirname "$0")/common.sh"
checkpoint=${1:-$RUNS/finetuned/checkpoint_best.pt}
shift $(($# > 0))
"$here/scripts/evaluate.sh" "$DATA" "$checkpoint" --task srp_translation --batch-size 128 --beam 5 "$@"
