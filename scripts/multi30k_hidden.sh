#!/usr/bin/env bash
# Recurrent models on Multi30k that lose half of their hidden units, cut out: the tables of docs/results.md.
#
#   scripts/multi30k_hidden.sh lm|nmt TEXT [SEED|RUN ...]
#
# lm: `rnn_lm` on the English side; nmt: `rnnsearch_small`, German to English. TEXT holds train/valid/test2016.{de,en}.
# A RUN is KIND-SEED: dense-1; greg1-1 and random-1 lose half of the hidden units of every layer, in a run as long again;
# longer-1 is dense trained as much longer; narrow-1 has the same shapes from scratch, with as many updates in all. A SEED
# stands for all of its own, and is 1 if nothing is given. Every step is skipped once its result stands; an interrupted run
# continues where it stopped. Environment variables: multi30k_options.sh, but
#   DATA    is data-bin/multi30k-lm or data-bin/multi30k-words
#   EPOCHS  of dense training, and of the run after it, are 6; or UPDATES of that (about 580 or 227 an epoch)
# Dense models, dense-SEED (lm) and rnnsearch_small-dense-SEED, are those of SiPO in CHECKPOINTS/sipo-multi30k.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

usage="usage: scripts/multi30k_hidden.sh lm|nmt TEXT [SEED|RUN ...], e.g. scripts/multi30k_hidden.sh lm ../shared/data/multi30k-de-en 1 2 3"
kind=${1:?$usage} text=${2:?$usage}
shift 2
asked=""
for word in ${*:-1}; do
    case $word in
    *-*) asked="$asked $word" ;;
    *) asked="$asked dense-$word longer-$word greg1-$word random-$word narrow-$word" ;;
    esac
done
listed $asked
runs=$checkpoints/multi30k-hidden/$kind dense=$checkpoints/sipo-multi30k epochs=${EPOCHS:-6}
common="--user-dir fairseq_prune --num-workers 0 --no-epoch-checkpoints --log-format simple --log-interval 200 $device"
case $kind in
lm)
    data=${DATA:-data-bin/multi30k-lm} name=dense updates=${UPDATES:-$((epochs * 580))} narrow="--decoder-hidden-size 100"
    prepared scripts/sipo/prepare_lm.sh "$text" "$data" en
    common="$common --task prune_stateful_language_modeling --arch rnn_lm --criterion cross_entropy --batch-size 20
        --batch-size-valid 10 --tokens-per-sample 35"
    first="--optimizer sgd --lr 20 --lr-scheduler reduce_lr_on_plateau --lr-shrink 0.25 --lr-patience 0 --clip-norm 0.25"
    ;;
nmt)
    data=${DATA:-data-bin/multi30k-words} name=rnnsearch_small-dense updates=${UPDATES:-$((epochs * 227))} narrow="--hidden-size 96"
    prepared scripts/sipo/prepare_nmt.sh "$text" "$data" de en 10000
    common="$common --task prune_translation --arch rnnsearch_small --criterion cross_entropy --sentence-avg
        --batch-size 128 --required-batch-size-multiple 1"
    first="--optimizer adam --lr 0.002 --clip-norm 5 --lr-scheduler reduce_lr_on_plateau --lr-shrink 0.5"
    ;;
*) echo "$kind: $usage" >&2; exit 2 ;;
esac
second="--optimizer adam --lr 2e-3 --clip-norm 1 --lr-scheduler polynomial_decay --total-num-update $updates --max-update $updates"
half="--prune-units hidden --prune-scope layer --prune-target 0.5"

train() { # train FOLDER OPTION ...
    once "$1" fairseq-train "$data" $common --save-dir "$@"
}

run() { # run KIND SEED
    local start=$dense/$name-$2/checkpoint_best.pt go="$second --seed $2 --finetune-from-model" first="$first --max-epoch $epochs --seed $2"
    [ "$1" = narrow ] || train "$dense/$name-$2" $first
    case $1 in
    dense) ;;
    # The penalty grows over the first two fifths; its strength is what takes weights to a thousandth by then.
    greg1) train "$runs/greg1-$2" $go "$start" $half --prune-method greg1 --update-reg-interval 1 --reg-upper-limit 20 \
        --reg-fit --prune-end $((updates * 2 / 5))up ;;
    random) train "$runs/random-$2" $go "$start" $half --prune-method random ;;
    longer) train "$runs/longer-$2" $go "$start" ;;
    narrow)
        train "$runs/narrow-first-$2" $first $narrow
        train "$runs/narrow-$2" $go "$runs/narrow-first-$2/checkpoint_best.pt" $narrow
        ;;
    *) echo "RUN $1-$2: no such kind; give e.g. greg1-1" >&2; exit 2 ;;
    esac
}

rows=""
for name_seed in $asked; do
    run "${name_seed%-*}" "${name_seed#*-}"
    case $name_seed in dense-*) folder=$dense/$name-${name_seed#*-} ;; *) folder=$runs/$name_seed ;; esac
    checkpoint=$folder/checkpoint_best.pt
    if [ $kind = nmt ]; then
        translated "$checkpoint"
        checkpoint=${checkpoint%.pt}.test.log:$checkpoint
    fi
    rows="$rows $name_seed=$checkpoint"
done
if [ $kind = nmt ]; then table $rows; else told "scripts/compare_lm.py --data $data" $rows; fi
