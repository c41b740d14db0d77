# Sourced by the SRP scripts. Their parameters are environment variables; these are the defaults,
# those of SRP's authors on IWSLT'14 German-English where they gave one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

: "${DATA:=$here/data-bin/iwslt14.tokenized.de-en}" # scripts/prepare_iwslt14.sh or scripts/prepare.sh makes it
: "${RUNS:=$here/checkpoints/srp}"                  # each run gets a folder in it
: "${ARCH:=srp_iwslt_de_en}"
: "${MODEL:=--share-decoder-input-output-embed --dropout 0.3}" # further options of the architecture
: "${RATE:=0.2}"                                    # parameters that remain
: "${DECREASING:=sa}"                               # sa, sg, ea, eg
: "${SCORE:=signed}"                                # signed (the authors') or squared
: "${PERIOD:=20}"                                   # epochs of shrinking in each stage
: "${UPDATES:=}"                                    # or updates
: "${BASE_EPOCHS:=50}" "${FINETUNE_EPOCHS:=20}"
: "${LR:=5e-4}" "${WARMUP:=4000}"                   # pruning and finetuning run at a constant LR, as the authors'
: "${MAX_TOKENS:=4096}" "${SEED:=1}"
: "${BASE:=$RUNS/base/checkpoint_best.pt}"          # the model to prune: stock or SRP architecture
: "${VALIDATE:=bleu}"                               # bleu: best checkpoint by BLEU; loss: by loss, quicker
: "${EXTRA:=}"                                      # options of every fairseq-train, e.g. --cpu

if [ "$VALIDATE" = bleu ]; then
    validate=(--eval-bleu --eval-bleu-args '{"beam": 5, "max_len_a": 1.2, "max_len_b": 10}' --eval-bleu-detok moses
        --eval-bleu-remove-bpe --best-checkpoint-metric bleu --maximize-best-checkpoint-metric)
else
    validate=()
fi

if [ -n "$UPDATES" ]; then
    shrinking=(--srp-pruning-updates "$UPDATES" --max-update "$UPDATES")
else
    shrinking=(--pruning-period "$PERIOD" --max-epoch "$PERIOD")
fi

. "$here/scripts/given.sh"

need() { # need VARIABLE PATH HINT
    [ -e "$2" ] || { echo "$1=$2: not there; $3" >&2; exit 2; }
}

train() { # train NAME [fairseq-train options]: a run in RUNS/NAME; started again, it resumes or has nothing to do
    local out=$RUNS/$1
    shift
    corpus DATA "$DATA" "make it with scripts/prepare_iwslt14.sh or scripts/prepare.sh, e.g. DATA=data-bin/mine"
    # shellcheck disable=SC2086  # MODEL and EXTRA are lists of options
    fairseq-train "$DATA" --user-dir "$here/fairseq_prune" --task srp_translation --arch "$ARCH" $MODEL \
        --optimizer srp_adam --adam-betas '(0.9, 0.98)' --clip-norm 0.0 --weight-decay 0.0001 \
        --criterion srp --label-smoothing 0.1 --max-tokens "$MAX_TOKENS" --seed "$SEED" \
        "${validate[@]}" --no-epoch-checkpoints --save-dir "$out" $EXTRA "$@"
}
