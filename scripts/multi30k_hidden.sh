#!/usr/bin/env bash
# Recurrent models on Multi30k that lose half of their hidden units, cut out: the tables of docs/results.md.
#
#   scripts/multi30k_hidden.sh lm|nmt TEXT [SEED ...]
#
# lm: `rnn_lm` on the English side; nmt: `rnnsearch_small`, German to English. TEXT holds train/valid/test2016.{de,en}.
# For each SEED (1): dense; greg1 and random lose half of the hidden units of every layer, in a run as long again; longer
# is dense trained as much longer; narrow has the same shapes from scratch, with as many updates in all. Every step is
# skipped once its result stands; an interrupted run continues where it stopped. Environment variables:
#   RUNS    results (checkpoints/multi30k-hidden)
#   DENSE   where dense-SEED (lm) or rnnsearch_small-dense-SEED lie or are put (checkpoints/sipo-multi30k)
#   EPOCHS  of dense training, and of the run after it (6)
#   UPDATES of the run after it, instead (about 580 or 227 an epoch)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh

usage="usage: scripts/multi30k_hidden.sh lm|nmt TEXT [SEED ...], e.g. scripts/multi30k_hidden.sh lm ../shared/data/multi30k-de-en 1 2 3"
kind=${1:?$usage} text=${2:?$usage}
shift 2
runs=${RUNS:-checkpoints/multi30k-hidden}/$kind dense=${DENSE:-checkpoints/sipo-multi30k} epochs=${EPOCHS:-6}
device=$(device)
common="--user-dir fairseq_prune --num-workers 0 --no-epoch-checkpoints --log-format simple --log-interval 200 $device"
case $kind in
lm)
    data=${DATA:-data-bin/multi30k-lm} name=dense updates=${UPDATES:-$((epochs * 580))} narrow="--decoder-hidden-size 100"
    [ -d "$data" ] || scripts/sipo/prepare_lm.sh "$text" "$data" en
    common="$common --task prune_stateful_language_modeling --arch rnn_lm --criterion cross_entropy --batch-size 20
        --batch-size-valid 10 --tokens-per-sample 35"
    first="--optimizer sgd --lr 20 --lr-scheduler reduce_lr_on_plateau --lr-shrink 0.25 --lr-patience 0 --clip-norm 0.25"
    ;;
nmt)
    data=${DATA:-data-bin/multi30k-words} name=rnnsearch_small-dense updates=${UPDATES:-$((epochs * 227))} narrow="--hidden-size 96"
    [ -d "$data" ] || scripts/sipo/prepare_nmt.sh "$text" "$data" de en 10000
    common="$common --task prune_translation --arch rnnsearch_small --criterion cross_entropy --sentence-avg
        --batch-size 128 --required-batch-size-multiple 1"
    first="--optimizer adam --lr 0.002 --clip-norm 5 --lr-scheduler reduce_lr_on_plateau --lr-shrink 0.5"
    ;;
*) echo "$kind: $usage" >&2; exit 2 ;;
esac
second="--optimizer adam --lr 2e-3 --clip-norm 1 --lr-scheduler polynomial_decay --total-num-update $updates --max-update $updates"
half="--prune-units hidden --prune-scope layer --prune-target 0.5"

train() { # train FOLDER OPTION ...: unless it is done
    [ -e "$1/done" ] && return
    fairseq-train "$data" $common --save-dir "$@"
    touch "$1/done"
}

rows="" seeds=${*:-1}
for seed in $seeds; do
    start=$dense/$name-$seed/checkpoint_best.pt
    train "$dense/$name-$seed" $first --max-epoch "$epochs" --seed "$seed"
    go="$second --seed $seed --finetune-from-model"
    # The penalty grows over the first two fifths; its strength is what takes weights to a thousandth by then.
    train "$runs/greg1-$seed" $go "$start" $half --prune-method greg1 --update-reg-interval 1 --reg-upper-limit 20 \
        --reg-fit --prune-end $((updates * 2 / 5))up
    train "$runs/random-$seed" $go "$start" $half --prune-method random
    train "$runs/longer-$seed" $go "$start"
    train "$runs/narrow-first-$seed" $first --max-epoch "$epochs" --seed "$seed" $narrow
    train "$runs/narrow-$seed" $go "$runs/narrow-first-$seed/checkpoint_best.pt" $narrow
    rows="$rows dense-$seed=$start"
    for run in longer greg1 random narrow; do rows="$rows $run-$seed=$runs/$run-$seed/checkpoint_best.pt"; done
done
[ $kind = lm ] && exec python3 scripts/compare_lm.py --data "$data" $rows
logs="" # one after another, since speeds are compared
for row in $rows; do
    checkpoint=${row#*=} log=$runs/${row%%=*}.test.log
    [ -e "$log" ] || { scripts/evaluate.sh "$data" "$checkpoint" $device >&2 && mv "${checkpoint%.pt}.test.log" "$log"; }
    logs="$logs ${row%%=*}=$log:$checkpoint"
done
python3 scripts/compare.py $logs
