#!/usr/bin/env bash
# The random control of a language model that scripts/sipo/lm.sh pruned: as many weights of each group are removed at random.
#
#   scripts/sipo/random_lm.sh NAME [EPOCHS]
#
# NAME is a run's folder without its seed, e.g. all-once; its best round has the rates. All are removed at once; with EPOCHS the
# rest is retrained, and the best epoch counts. Prints parameters, accuracy and perplexity. Environment variables:
# scripts/sipo/common.sh.
usage="usage: scripts/sipo/random_lm.sh NAME [EPOCHS], e.g. scripts/sipo/random_lm.sh all-rounds 6"
name=${1:?$usage} epochs=${2:-0}
source "$(dirname "$0")/common.sh"
run=$RUNS/$name-$SEED
[ -e "$run/summary.json" ] || { echo "NAME $name: no $run/summary.json; run scripts/sipo/lm.sh first" >&2; exit 2; }
round=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["best"])' "$run/summary.json")
case $epochs in
0) training="--lr 1e-9 --max-update 1 --disable-validation" result=last ;; # too small to change anything
*) training="--max-epoch $epochs" result=best ;;
esac
folder=$RUNS/$name-random-$epochs-$SEED
fairseq-train "$DATA" --user-dir fairseq_prune $LM_TRAIN $training --finetune-from-model "$RUNS/dense-$SEED/checkpoint_best.pt" \
    --prune-method random --prune-scope stage --prune-recipe "$run/rates-$round.yaml" --no-epoch-checkpoints \
    --seed "$SEED" --save-dir "$folder"
fairseq-prune inspect "$folder/checkpoint_$result.pt" --data "$DATA"
