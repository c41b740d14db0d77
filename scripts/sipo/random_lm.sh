#!/usr/bin/env bash
# The random control of a language model that scripts/sipo/lm.sh pruned once: as many weights of each group leave by chance.
#
#   scripts/sipo/random_lm.sh NAME
#
# NAME is a run's folder without its seed, e.g. all-once. Prints parameters, accuracy and perplexity. Environment variables:
# scripts/sipo/common.sh.
usage="usage: scripts/sipo/random_lm.sh NAME, e.g. scripts/sipo/random_lm.sh all-once"
name=${1:?$usage}
source "$(dirname "$0")/common.sh"
rates=$RUNS/$name-$SEED/rates-0.yaml folder=$RUNS/$name-random-$SEED
[ -e "$rates" ] || { echo "NAME $name: no $rates; run scripts/sipo/lm.sh first" >&2; exit 2; }
# One update, too small to change anything: the masks are what is wanted.
[ -e "$folder/checkpoint_last.pt" ] || fairseq-train "$DATA" --user-dir fairseq_prune $LM_TRAIN --lr 1e-9 --max-update 1 \
    --finetune-from-model "$RUNS/dense-$SEED/checkpoint_best.pt" --prune-method random --prune-scope stage \
    --prune-recipe "$rates" --no-epoch-checkpoints --disable-validation --seed "$SEED" --save-dir "$folder"
fairseq-prune inspect "$folder/checkpoint_last.pt" --data "$DATA"
