#!/usr/bin/env bash
# One-shot pruning of a Multi30k German-English Transformer, without retraining: the table of docs/results.md.
#
#   scripts/multi30k_one_shot.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is METHOD-TARGET-SEED, e.g. wanda-0.5-1 or sparsegpt-2:4-2; irregular
# is magnitude layer by layer. Without any, all of them run, with seeds 1 to 3, which draw calibration batches and random
# weights (magnitude has no seeds). The dense model is that of scripts/multi30k.sh, trained first if it is not there.
# Every step is skipped once its result stands. Environment variables, as DENSE and DATA: multi30k_options.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k_one_shot.sh TEXT [RUN ...], e.g. scripts/multi30k_one_shot.sh ../shared/data/multi30k-de-en}
shift
all=""
for target in 0.3 0.5 0.7 2:4; do
    [ $target = 2:4 ] || all="$all magnitude-$target-1"
    all="$all irregular-$target-1"
    for seed in 1 2 3; do for method in wanda ria sparsegpt random; do all="$all $method-$target-$seed"; done; done
done
runs=$checkpoints/multi30k-one-shot
listed ${*:-$all}
begin "$text"

rows="dense=${dense%.pt}.test.log:$dense"
for run in ${*:-$all}; do
    IFS=- read -r method target seed <<<"$run"
    out=$runs/${run//:/_} # fairseq takes a colon in --path for the end of a name
    case $target in
    *:*) how="--units $target" ;;
    *) how="--target $target" ;;
    esac
    once "$out" fairseq-prune prune "$dense" "$out/pruned.pt" --method "$method" $how --data "$data" --seed "$seed" --overwrite
    translated "$out/pruned.pt"
    rows="$rows $run=$out/pruned.test.log:$out/pruned.pt"
done
table $rows
