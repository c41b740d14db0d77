#!/usr/bin/env bash
# SRP against a one-shot cut and a narrow Transformer on Multi30k German-English: a table of docs/results.md.
#
#   scripts/multi30k_srp.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is KIND-RATE-DECREASING-SEED, e.g. two_stage-0.2-sa-1; without any,
# all of them run. Prints a table. Every step is skipped once its result stands. Environment variables:
# multi30k_options.sh; UPDATES is of each part of a run. All runs start from the dense model of scripts/multi30k.sh (15
# epochs) and train it for 5 epochs more:
#   two_stage   shrink residual widths (1), shrink the rest (1), finetune (3)
#   squared     the same with squared scores, which is not SRP's own choice
#   single      shrink everything (2), finetune (3)
#   one_shot    cut, finetune (5)
#   narrow      no pruning: a uniformly narrower Transformer of the same size from scratch (15), then finetune (5)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k_srp.sh TEXT [RUN ...], e.g. scripts/multi30k_srp.sh ../shared/data/multi30k-de-en}
shift
all="two_stage-0.2-sa-1 one_shot-0.2-sa-1 narrow-0.2-sa-1 two_stage-0.2-sa-2 one_shot-0.2-sa-2 narrow-0.2-sa-2
    two_stage-0.2-sa-3 one_shot-0.2-sa-3 narrow-0.2-sa-3 single-0.2-sa-1 single-0.2-sg-1 two_stage-0.2-sg-1
    squared-0.2-sa-1 two_stage-0.1-sa-1 one_shot-0.1-sa-1 two_stage-0.3-sa-1 one_shot-0.3-sa-1"
listed ${*:-$all}
begin "$text"

export DATA=$data BASE=$dense ARCH=srp_transformer MAX_TOKENS=2048 VALIDATE=loss PERIOD=1 LR=1e-3 MODEL EXTRA
EXTRA="--clip-norm 1.0 --num-workers 0 --log-format simple --log-interval 50 $device"
sizes() { # sizes WIDTH NEURONS: 4 + 4 layers of 4 heads
    echo "--share-all-embeddings --dropout 0.2 --encoder-layers 4 --decoder-layers 4
        --encoder-attention-heads 4 --decoder-attention-heads 4 --encoder-embed-dim $1 --decoder-embed-dim $1
        --encoder-ffn-embed-dim $2 --decoder-ffn-embed-dim $2"
}

finetuning() { # finetuning EPOCHS: options; an epoch has 252 updates
    echo "--lr 2e-3 --lr-scheduler polynomial_decay --warmup-updates 50 --total-num-update $((252 * $1)) --max-epoch $1
        ${UPDATES:+--max-update $UPDATES}"
}
execute() { # execute KIND: the runs of one kind, in RUNS
    case $1 in
    two_stage | squared)
        [ "$1" = two_stage ] || export SCORE=squared
        scripts/srp/prune_two_stage.sh
        scripts/srp/finetune.sh "$RUNS/stage2/checkpoint_last.pt" $(finetuning 3)
        ;;
    single)
        PERIOD=2 scripts/srp/prune_single.sh
        scripts/srp/finetune.sh "$RUNS/single/checkpoint_last.pt" $(finetuning 3)
        ;;
    one_shot)
        scripts/srp/prune_one_shot.sh $(finetuning 5) --save-dir "$RUNS/finetuned"
        ;;
    narrow)
        MODEL=$(sizes 44 84)
        BASE_EPOCHS=${EPOCHS:-15} scripts/srp/train_base.sh --lr 3e-3 --warmup-updates 600 # as the dense model
        scripts/srp/finetune.sh "$RUNS/base/checkpoint_best.pt" $(finetuning 5)
        ;;
    *)
        echo "RUN $1: no such kind; give e.g. two_stage-0.2-sa-1" >&2
        exit 2
        ;;
    esac
}

rows="dense=${dense%.pt}.test.log:$dense"
for run in ${*:-$all}; do
    export RUNS=$checkpoints/multi30k-srp/$run RATE DECREASING SEED
    IFS=- read -r kind RATE DECREASING SEED <<<"$run"
    last=$RUNS/finetuned/checkpoint_last
    MODEL=$(sizes 128 256)
    once "$RUNS" execute "$kind"
    translated "$last.pt"
    rows="$rows $run=$last.test.log:$last.pt"
done
table $rows
