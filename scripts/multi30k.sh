#!/usr/bin/env bash
# Dense against pruned Transformers on Multi30k German-English: the table of docs/results.md.
#
#   scripts/multi30k.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is METHOD-TARGET-SEED, e.g. movement-0.8-1 or n:m-2:4-1; longer-0-1
# trains the dense model as much longer, dense is that model alone. Without any, all of them run, with seed 1.
# Every step is skipped once its result stands, so an interrupted run continues where it stopped. Seeds vary the
# pruning and finetuning runs; the dense model is trained once, with seed 1.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh

text=${1:?usage: scripts/multi30k.sh TEXT [RUN ...], e.g. scripts/multi30k.sh ../shared/data/multi30k-de-en}
shift
all="longer-0-1 n:m-2:4-1"
for target in 0.5 0.8 0.9; do all="$all magnitude-$target-1 random-$target-1"; done
for target in 0.8 0.9; do all="$all irregular-$target-1 movement-$target-1"; done
data=data-bin/multi30k
runs=checkpoints/multi30k
device=$(device)

[ -d $data ] || scripts/prepare.sh "$text" $data de en 6000

# The "tiny" Transformer that Wu et al. (ACL 2021) use for Multi30k.
arch="--arch transformer --share-all-embeddings --dropout 0.2
    --encoder-layers 4 --encoder-embed-dim 128 --encoder-ffn-embed-dim 256 --encoder-attention-heads 4
    --decoder-layers 4 --decoder-embed-dim 128 --decoder-ffn-embed-dim 256 --decoder-attention-heads 4"
common="--user-dir fairseq_prune $arch --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --optimizer adam --adam-betas (0.9,0.98) --clip-norm 1.0 --max-tokens 2048 --num-workers 0
    --no-epoch-checkpoints --log-format simple --log-interval 50 $device"

if [ ! -e $runs/dense/done ]; then
    fairseq-train $data $common --seed 1 --save-dir $runs/dense \
        --lr 3e-3 --lr-scheduler inverse_sqrt --warmup-updates 600 --max-epoch 15
    touch $runs/dense/done
fi
[ -e $runs/dense/checkpoint_best.test.log ] || scripts/evaluate.sh $data $runs/dense/checkpoint_best.pt $device

updates=504 # two epochs: weights go during the first half, the second half heals
rows="dense=$runs/dense/checkpoint_best.test.log:$runs/dense/checkpoint_best.pt"
for run in ${*:-$all}; do
    IFS=- read -r method target seed <<<"$run"
    out=$runs/${run//:/_} # fairseq takes a colon in --path for the end of a name
    case $method in
    dense) continue ;;
    longer) method=magnitude ;;
    movement) method="movement --prune-every 1up" ;; # its scores have to be seen at every update
    esac
    if [ ! -e "$out/checkpoint_last.test.log" ]; then
        scripts/prune.sh $data $runs/dense/checkpoint_best.pt "$out" "$target" $updates $common --lr 1e-3 \
            --warmup-updates 100 --seed "$seed" --prune-method $method
        scripts/evaluate.sh $data "$out/checkpoint_last.pt" $device
    fi
    rows="$rows $run=$out/checkpoint_last.test.log:$out/checkpoint_last.pt"
done
python3 scripts/compare.py $rows
