#!/usr/bin/env bash
# Prunes a trained translation model gradually by magnitude, then finetunes it.
#
#   scripts/prune.sh DATA DENSE_CHECKPOINT OUT TARGET UPDATES [fairseq-train options]
#
# TARGET is the fraction removed, UPDATES the length of the whole run: weights are removed during
# the first half, the second half heals. The options have to repeat the dense model's
# architecture (--arch ... and its sizes) and give --lr; any other may be changed by them too.
# Started again, it continues from OUT/checkpoint_last.pt. SCHEDULE, if it is set, holds other options that say when,
# e.g. SCHEDULE="--prune-end 2000up" for a method that has no steps.
set -euo pipefail
. "$(dirname "$0")/given.sh"

usage="usage: scripts/prune.sh DATA DENSE_CHECKPOINT OUT TARGET UPDATES [fairseq-train options], e.g. scripts/prune.sh data-bin/mine checkpoints/mine/checkpoint_best.pt checkpoints/mine80 0.8 4000 --arch transformer_iwslt_de_en --max-tokens 4000 --lr 3e-4"
data=${1:?$usage} dense=${2:?$usage} out=${3:?$usage} target=${4:?$usage} updates=${5:?$usage}
shift 5
corpus DATA "$data" "$usage"
[ -f "$dense" ] || { echo "DENSE_CHECKPOINT $dense: no such file; $usage" >&2; exit 2; }
case $updates in '' | *[!0-9]* | ?) echo "UPDATES $updates: give a count of 10 or more; $usage" >&2; exit 2 ;; esac

here=$(cd "$(dirname "$0")/.." && pwd)
gradual="--prune-schedule cubic --prune-start 0up --prune-end $((updates / 2))up --prune-every $(((updates + 19) / 20))up"
fairseq-train "$data" --user-dir "$here/fairseq_prune" --task prune_translation \
    --finetune-from-model "$dense" --save-dir "$out" \
    --prune-method magnitude --prune-target "$target" ${SCHEDULE-$gradual} \
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1 \
    --optimizer adam --adam-betas '(0.9, 0.98)' --clip-norm 1.0 \
    --lr-scheduler polynomial_decay --total-num-update "$updates" --max-update "$updates" \
    --no-epoch-checkpoints --log-format simple "$@"
