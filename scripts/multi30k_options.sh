# Sourced by scripts that train on Multi30k German-English: places, and options of every training.
data=data-bin/multi30k
runs=checkpoints/multi30k
device=$(device)

# options ENCODER_LAYERS DECODER_LAYERS: with 4 and 4 the "tiny" Transformer that Wu et al. (ACL 2021) use for Multi30k.
options() {
    echo "--user-dir fairseq_prune --arch transformer --share-all-embeddings --dropout 0.2
    --encoder-layers $1 --encoder-embed-dim 128 --encoder-ffn-embed-dim 256 --encoder-attention-heads 4
    --decoder-layers $2 --decoder-embed-dim 128 --decoder-ffn-embed-dim 256 --decoder-attention-heads 4
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --optimizer adam --adam-betas (0.9,0.98) --clip-norm 1.0 --max-tokens 2048 --num-workers 0
    --no-epoch-checkpoints --log-format simple --log-interval 50 $device"
}

# from_scratch OUT SEED [fairseq-train options]: 15 epochs, then the test set; skipped once that is done.
from_scratch() {
    local out=$1 seed=$2
    shift 2
    if [ ! -e "$out/done" ]; then
        fairseq-train $data "$@" --seed "$seed" --save-dir "$out" \
            --lr 3e-3 --lr-scheduler inverse_sqrt --warmup-updates 600 --max-epoch 15
        touch "$out/done"
    fi
    [ -e "$out/checkpoint_best.test.log" ] || scripts/evaluate.sh $data "$out/checkpoint_best.pt" $device
}
