#!/usr/bin/env bash
# Language models on Multi30k English that are sparse from the start, against dense ones: a table of docs/results.md.
#
#   scripts/multi30k_sparse_training.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.en. A RUN is METHOD-TARGET-SEED, e.g. rigl-0.9-1 or set-0.9erk-2: METHOD is set, rigl,
# random (sparse from the start at places that stay), magnitude (dense at the start, pruned gradually from the first to
# the third quarter) or dense (dense-0-1). All train the same `rnn_lm`, two layers of 200, from scratch, with as many updates
# and the same learning rates. Without a RUN, all of them run, at 0.67 and 0.9 with seeds 1 to 3. Every step is skipped
# once its result stands; an interrupted run continues where it stopped. Environment variables: multi30k_options.sh, but
#   DATA    is data-bin/multi30k-lm, and is made from TEXT if it is not there
#   EPOCHS  of each training are 3, about four minutes of a core, or UPDATES instead (580 an epoch)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k_sparse_training.sh TEXT [RUN ...], e.g. scripts/multi30k_sparse_training.sh ../shared/data/multi30k-de-en}
shift
all=""
for seed in 1 2 3; do
    all="$all dense-0-$seed"
    for target in 0.67 0.9; do for method in magnitude rigl set random; do all="$all $method-$target-$seed"; done; done
done
data=${DATA:-data-bin/multi30k-lm} runs=$checkpoints/multi30k-sparse-training
updates=${UPDATES:-$((${EPOCHS:-3} * 580))}
listed ${*:-$all}
prepared scripts/sipo/prepare_lm.sh "$text" "$data" en

rows=""
for run in ${*:-$all}; do
    IFS=- read -r method target seed <<<"$run"
    how="--prune-method $method --prune-target $target"
    case $method in
    dense) how="" ;;
    random) how="$how --prune-scope layer" ;; # the shares of set and rigl
    magnitude) how="$how --prune-schedule cubic --prune-start $((updates / 4))up --prune-every $(((updates + 39) / 40))up
        --prune-end $((updates * 3 / 4))up" ;;
    set | rigl) how="$how --prune-freeze $((updates * 3 / 4))up" ;;
    esac
    once "$runs/$run" fairseq-train "$data" --user-dir fairseq_prune --task prune_stateful_language_modeling --arch rnn_lm \
        --criterion cross_entropy --batch-size 20 --batch-size-valid 10 --tokens-per-sample 35 --seed "$seed" \
        --optimizer adam --lr 2e-3 --clip-norm 1 --lr-scheduler polynomial_decay --total-num-update $updates \
        --max-update $updates --save-dir "$runs/$run" --num-workers 0 --no-epoch-checkpoints --log-format simple \
        --log-interval 100 $device $how
    rows="$rows $run=$runs/$run/checkpoint_last.pt"
done
told "scripts/compare_lm.py --data $data --rounds 1" $rows # all have the same shapes
