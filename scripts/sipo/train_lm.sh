#!/usr/bin/env bash
# Trains the dense language model; environment variables: scripts/sipo/common.sh, and EPOCHS (6, as the original's).
source "$(dirname "$0")/common.sh"
fairseq-train "$DATA" --user-dir fairseq_prune $LM_TRAIN --max-epoch "${EPOCHS:-6}" --seed "$SEED" \
    --no-epoch-checkpoints --save-dir "$RUNS/dense-$SEED"
touch "$RUNS/dense-$SEED/done"
