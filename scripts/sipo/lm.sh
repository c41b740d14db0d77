#!/usr/bin/env bash
# One of SiPO's six experiments on a language model: a grouping, with or without retraining.
#
#   scripts/sipo/lm.sh GROUP once|rounds
#
# GROUP is all, layer or stage. Trains the dense model first, or the rest of it. Environment variables:
# scripts/sipo/common.sh; NAME of the folder (GROUP-once or GROUP-rounds), ROUNDS (20), EPOCHS_RETRAIN (8) of retraining and
# CONTROL (--dense-control): empty where another group's run of this seed has it, which is the same for as many rounds.
usage="usage: scripts/sipo/lm.sh GROUP once|rounds, e.g. scripts/sipo/lm.sh stage once"
group=${1:?$usage} mode=${2:?$usage}
source "$(dirname "$0")/common.sh"
case $mode in
once) rounds="" retrain="" ;;
rounds) rounds="--rounds ${ROUNDS:-20} --epochs ${EPOCHS_RETRAIN:-8} ${CONTROL---dense-control}" retrain="--train $LM_TRAIN" ;;
*) echo "$mode: $usage" >&2; exit 2 ;;
esac
[ -e "$RUNS/dense-$SEED/done" ] || scripts/sipo/train_lm.sh # or the rest of it
fairseq-prune sipo "$DATA" --checkpoint "$RUNS/dense-$SEED/checkpoint_best.pt" --save-dir "$RUNS/${NAME:-$group-$mode}-$SEED" \
    --group "$group" --max-drop "$MAX_DROP" --seed "$SEED" $rounds $SEARCH $retrain
