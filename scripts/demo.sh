#!/usr/bin/env bash
# Trains, prunes and translates on a generated corpus, all on the CPU: `make demo`.
#
# A step whose result stands is skipped, so a second call only prints the table and a
# killed demo continues where it stopped. Logs lie in checkpoints/demo. Needs .venv/bin on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/steps.sh

steps=11
text=data-bin/demo-text data=data-bin/demo
runs=checkpoints/demo
dense=$runs/dense pruned=$runs/pruned srp=$runs/srp
model="--arch transformer --share-all-embeddings --dropout 0
    --encoder-layers 2 --encoder-embed-dim 128 --encoder-ffn-embed-dim 256 --encoder-attention-heads 4
    --decoder-layers 2 --decoder-embed-dim 128 --decoder-ffn-embed-dim 256 --decoder-attention-heads 4"
common="$model --max-tokens 1000 --seed 1 --cpu --num-workers 0 --log-interval 50"

train_dense() {
    fairseq-train $data --user-dir fairseq_prune --task prune_translation $common --save-dir $dense \
        --criterion label_smoothed_cross_entropy --label-smoothing 0.1 \
        --optimizer adam --adam-betas '(0.9, 0.98)' --clip-norm 1.0 \
        --lr 6e-3 --lr-scheduler polynomial_decay --warmup-updates 200 --total-num-update 900 --max-update 900 \
        --no-epoch-checkpoints --log-format simple
}

export DATA=$data RUNS=$srp ARCH=srp_tiny BASE=$dense/checkpoint_best.pt LR=1e-3 MAX_TOKENS=1000 VALIDATE=loss # of scripts/srp
export MODEL="--share-all-embeddings --dropout 0"
export EXTRA="--clip-norm 1.0 --cpu --num-workers 0 --log-interval 50 --log-format simple"

mkdir -p $runs $srp
step "Generate 16,000 German-like sentences with their English" $text/done python3 scripts/make_corpus.py $text
step "Learn a joint BPE and binarise (15 s)" $data/dict.de.txt scripts/prepare.sh $text $data de en 1500
step "Train a small dense Transformer (2 minutes)" $dense/done train_dense
step "Mask 80 % of it gradually and finetune (70 s)" $pruned/done \
    scripts/prune.sh $data $dense/checkpoint_best.pt $pruned 0.8 400 $common --lr 3e-3
step "SRP: cut it to 20 % in two stages, shrinking (45 s)" $srp/pruned \
    env UPDATES=120 scripts/srp/prune_two_stage.sh
step "Finetune the cut model (40 s)" $srp/finetuned/done \
    scripts/srp/finetune.sh $srp/stage2/checkpoint_last.pt --max-update 400 --max-epoch 0 \
    --lr 3e-3 --lr-scheduler polynomial_decay --warmup-updates 50 --total-num-update 400
translate() { # translate NAME CHECKPOINT
    step "Translate the test set with the $1 model" "${2%.pt}.test.log" \
        scripts/evaluate.sh $data "$2" --task srp_translation --cpu
}
translate dense $dense/checkpoint_best.pt
translate masked $pruned/checkpoint_best.pt
translate cut $srp/finetuned/checkpoint_best.pt
in_ctranslate2() { # both models, in float32 and int8
    local name folder
    for name in dense cut; do
        for folder in $exported/$name $exported/$name-int8; do
            fairseq-prune export "${best[$name]}" $folder --to ctranslate2 --overwrite --batches 10 \
                $([[ $folder == *-int8 ]] && echo --quantization int8) &&
                python3 scripts/evaluate_ctranslate2.py $folder $test.de $test.en $folder.test.log || return
        done
    done
}
exported=$runs/ctranslate2 test=$text/test
declare -A best=([dense]=$dense/checkpoint_best.pt [cut]=$srp/finetuned/checkpoint_best.pt)
step "Export the dense and the cut model to CTranslate2 and translate there (30 s)" $exported/done in_ctranslate2
echo "[11/$steps] Compare"
row() { # row NAME FOLDER
    echo "$1=$2/checkpoint_best.test.log:$2/checkpoint_best.pt"
}
python3 scripts/compare.py "$(row dense $dense)" "$(row 'masked, 80 %' $pruned)" "$(row 'SRP, cut to 20 %' $srp/finetuned)" \
    "dense, CTranslate2=$exported/dense.test.log:${best[dense]}" "dense, int8=$exported/dense-int8.test.log:${best[dense]}" \
    "SRP, CTranslate2=$exported/cut.test.log:${best[cut]}" "SRP, int8=$exported/cut-int8.test.log:${best[cut]}"
