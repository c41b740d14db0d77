#!/usr/bin/env bash
# SRP against a cut at once and a narrow model, on a prepared parallel corpus: DATA=data-bin/... scripts/gpu/evidence/srp.sh [SEED]
#
# NARROW: options of the narrow model. Environment variables: common.sh and those of scripts/srp/common.sh. BLEU is of the test set.
source "$(dirname "$0")/common.sh"
export DATA=${DATA:-data-bin/iwslt14.tokenized.de-en} SEED=${1:-1} VALIDATE=loss
export RUNS=$STATE/srp-$SEED EXTRA="$device --prune-pack --save-interval-updates 500 --keep-interval-updates 1 ${EXTRA:-}"
narrow=${NARROW:---encoder-embed-dim 160 --decoder-embed-dim 160 --encoder-ffn-embed-dim 320 --decoder-ffn-embed-dim 320}
if [ -n "$MINIATURE" ]; then
    export ARCH=srp_tiny BASE_EPOCHS=1 FINETUNE_EPOCHS=1 UPDATES=4 MAX_TOKENS=400
    narrow="--encoder-embed-dim 32 --decoder-embed-dim 32 --encoder-ffn-embed-dim 32 --decoder-ffn-embed-dim 32"
fi
mkdir -p "$RUNS/narrow"
step() { # step NAME SCRIPT WORD...: once
    local log=$RUNS/$1.log
    [ ! -e "$RUNS/$1.done" ] || return 0
    limited "scripts/srp/$2" "${@:3}" >>"$log" 2>&1 || fail "$log"
    touch "$RUNS/$1.done"
}
step base train_base.sh
step stages prune_two_stage.sh
step finetuned finetune.sh
step one_shot prune_one_shot.sh
MODEL="--share-decoder-input-output-embed --dropout 0.3 $narrow" RUNS=$RUNS/narrow step narrow train_base.sh
for name in base finetuned one_shot narrow/base; do
    checkpoint=$RUNS/$name/checkpoint_best.pt
    step "${name%/*}-test" evaluate.sh "$checkpoint"
    row "SRP, $name, seed $SEED" "$(grep -o 'BLEU4\? = [0-9.]*' "$RUNS/${name%/*}-test.log" | tail -n 1)"
done
