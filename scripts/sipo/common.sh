# Options that the scripts of this folder share; sourced by them. Set by environment variables:
#   DATA      binarised corpus of language models (data-bin/ptb)
#   RUNS      folder of all results (checkpoints/sipo-lm)
#   ARCH      architecture (rnn_lm: 200 wide, 2 layers)
#   SEED      of training and search (1)
#   MAX_DROP  tolerated loss of accuracy (0.01)
#   EXTRA     further options of fairseq-train, e.g. --fp16
#   SEARCH    further options of fairseq-prune sipo, e.g. "--workers 2 --rounds 5"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. scripts/machine.sh
. scripts/given.sh
DATA=${DATA:-data-bin/ptb} ARCH=${ARCH:-rnn_lm} SEED=${SEED:-1} MAX_DROP=${MAX_DROP:-0.01}
RUNS=${RUNS:-checkpoints/sipo-lm} EXTRA=${EXTRA:-} SEARCH=${SEARCH:-}
device=$(device)

# The original's training: plain SGD, learning rate 20, a quarter of it when validation does not improve. (In its
# retraining the rate stayed at 20, by a slip.)
LM_TRAIN="--task prune_stateful_language_modeling --arch $ARCH --criterion cross_entropy --optimizer sgd --lr 20
    --lr-scheduler reduce_lr_on_plateau --lr-shrink 0.25 --lr-patience 0 --clip-norm 0.25 --batch-size 20
    --batch-size-valid 10 --tokens-per-sample 35 --num-workers 0 --log-format simple --log-interval 200 $device $EXTRA"

corpus DATA "$DATA" "make it with scripts/sipo/prepare_lm.sh or prepare_nmt.sh"
