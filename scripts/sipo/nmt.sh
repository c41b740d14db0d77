#!/usr/bin/env bash
# SiPO on a translation model: trains the dense one if it is not there, then prunes it.
#
#   scripts/sipo/nmt.sh ARCH once|rounds
#
# ARCH is rnnsearch or luongnet (the original's sizes: GPUs and days), or e.g. rnnsearch_small. Environment variables:
#   DATA (data-bin/wmt14), RUNS (checkpoints/sipo-nmt), SEED (1), GROUP (stage), MAX_DROP (0.01), EPOCHS (13) of dense
#   training, DENSE (further options of it, e.g. "--optimizer adam --lr 0.002" where there is little text), ROUNDS (30),
#   EXTRA (options of fairseq-train), SEARCH (options of fairseq-prune sipo)
usage="usage: scripts/sipo/nmt.sh ARCH once|rounds, e.g. scripts/sipo/nmt.sh rnnsearch_small once"
arch=${1:?$usage} mode=${2:?$usage}
export DATA=${DATA:-data-bin/wmt14} RUNS=${RUNS:-checkpoints/sipo-nmt} ARCH=$arch
source "$(dirname "$0")/common.sh"
common="--task prune_translation --arch $arch --criterion cross_entropy --sentence-avg --optimizer sgd
    --num-workers 0 --log-format simple --log-interval 100 --required-batch-size-multiple 1 $device $EXTRA"
case $mode in
once) rounds="" retrain="" ;;
rounds)
    rounds="--rounds ${ROUNDS:-30} --dense-control"
    retrain="--train $common --batch-size 128 --lr 0.1 --force-anneal 4 --lr-shrink 0.5 --clip-norm 1"
    ;;
*) echo "$mode: $usage" >&2; exit 2 ;;
esac
dense=$RUNS/$arch-dense-$SEED
# The original's training: SGD from learning rate 1, half of it when validation does not improve, clipped at 5.
[ -e "$dense/done" ] || fairseq-train "$DATA" --user-dir fairseq_prune $common --batch-size 128 --lr 1 \
    --clip-norm 5 --lr-scheduler reduce_lr_on_plateau --lr-shrink 0.5 --max-epoch "${EPOCHS:-13}" --seed "$SEED" \
    --no-epoch-checkpoints --save-dir "$dense" ${DENSE:-}
touch "$dense/done"
# Its retraining: learning rate 0.1, from the fourth epoch on half of the last one's.
fairseq-prune sipo "$DATA" --checkpoint "$dense/checkpoint_best.pt" --save-dir "$RUNS/$arch-${GROUP:-stage}-$mode-$SEED" \
    --group "${GROUP:-stage}" --max-drop "$MAX_DROP" --seed "$SEED" $rounds $SEARCH $retrain
