#!/usr/bin/env bash
# Dense against pruned Transformers on Multi30k German-English: the table of docs/results.md.
#
#   scripts/multi30k.sh TEXT [SEED ...]
#
# TEXT holds train/valid/test2016.{de,en}. Every step is skipped once its result
# stands, so an interrupted run continues where it stopped. Seeds vary the
# pruning and finetuning runs; the dense model is trained once, with seed 1.
set -euo pipefail
cd "$(dirname "$0")/.."
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000  # keep freed buffers: 1.2x faster on CPU
export OMP_WAIT_POLICY=PASSIVE  # idle threads sleep, so that other work on the machine costs less

text=${1:?usage: scripts/multi30k.sh TEXT [SEED ...], e.g. scripts/multi30k.sh ../shared/data/multi30k-de-en 1}
shift
seeds=${*:-1}
data=data-bin/multi30k
runs=checkpoints/multi30k
device=--cpu
python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' && device=

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
finetune() { # finetune NAME TARGET [options]: prune and finetune the dense model, translate, add a row
    local name=$1 target=$2 out=$runs/$1
    shift 2
    if [ ! -e "$out/checkpoint_last.test.log" ]; then
        scripts/prune.sh $data $runs/dense/checkpoint_best.pt "$out" "$target" $updates $common --lr 1e-3 \
            --warmup-updates 100 "$@"
        scripts/evaluate.sh $data "$out/checkpoint_last.pt" $device
    fi
    rows="$rows $name=$out/checkpoint_last.test.log:$out/checkpoint_last.pt"
}

for seed in $seeds; do
    for target in 0.9 0.8 0.5; do
        for method in magnitude random; do
            finetune $method-$target-$seed $target --seed "$seed" --prune-method $method
        done
    done
    finetune dense-longer-$seed 0 --seed "$seed"
done
python3 scripts/compare.py $rows
