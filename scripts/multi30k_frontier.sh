#!/usr/bin/env bash
# Speed against quality on Multi30k German-English: the frontier of docs/fast.md.
#
#   scripts/multi30k_frontier.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is KIND-AMOUNT-SEED, and starts from the dense model of scripts/multi30k.sh
# (4 + 4 layers, 15 epochs) unless it says otherwise:
#   longer-0         nothing is removed, two epochs more, as in most of the others
#   masked-0.8       single weights by magnitude, two epochs
#   neuron-0.5       half of the neurons cut, two epochs; head-0.5: half of the heads
#   srp-0.2          SRP: 0.2 of the parameters are left, two epochs of shrinking and three of finetuning (0.1 to 0.5)
#   decoder-1        1 layer of the decoder is left (or 2): cut, two epochs; decoder+self-1: the dense model teaches it
#   shallow-1        a decoder of 1 layer (or 2) from scratch, 15 epochs; shallow+taught-1: taught by the dense model
#   narrow-0.2       a narrow Transformer from scratch, 15 epochs and five
# Without a RUN, one of each and all of SRP's, seed 1. Every training is skipped once its result stands. At the end
# `fairseq-prune bench` runs them and the dense model beside each other, in fairseq and CTranslate2 (float32, int8), with
# beams of 5, 2 and 1 on one thread, and writes checkpoints/multi30k-frontier.{json,png}; scripts/fast_page.py puts them
# on the page. ONLY_TRAIN=1 in the environment leaves out the measuring.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k_frontier.sh TEXT [RUN ...], e.g. scripts/multi30k_frontier.sh ../shared/data/multi30k-de-en decoder+self-1-1}
shift
all="longer-0-1 masked-0.8-1 neuron-0.5-1 head-0.5-1 srp-0.1-1 srp-0.2-1 srp-0.3-1 srp-0.4-1 srp-0.5-1 decoder-2-1 decoder-1-1
    decoder+self-2-1 decoder+self-1-1 shallow-1-1 shallow+taught-1-1 narrow-0.2-1"
dense=$runs/dense/checkpoint_best.pt
out=checkpoints/multi30k-frontier
mkdir -p $out
scripts/multi30k.sh "$text" dense >&2 # or the rest of it

cut_layers() { # cut_layers FOLDER LAYERS_LEFT SEED [fairseq-train options]
    local folder=$1 left=$2 seed=$3
    shift 3
    [ -e "$folder/done" ] && return
    scripts/prune.sh $data $dense "$folder" "$(python3 -c "print(1 - $left / 4)")" 504 $(options 4 4) --lr 1e-3 \
        --warmup-updates 100 --seed "$seed" --prune-units layer --prune-method shortgpt \
        --prune-only 'decoder.layers.*' "$@"
    touch "$folder/done"
}

train() { # train KIND AMOUNT SEED: sets checkpoint
    local kind=$1 amount=$2 seed=$3
    case $kind in
    longer | masked)
        local run=${kind/masked/magnitude}-$amount-$seed
        checkpoint=$runs/$run/checkpoint_last.pt
        [ -e "${checkpoint%.pt}.test.log" ] || scripts/multi30k.sh "$text" "$run" >&2
        ;;
    neuron | head)
        checkpoint=checkpoints/multi30k-structure/$kind-gradient-$amount-$seed/checkpoint_last.pt
        [ -e "${checkpoint%/*}/done" ] || scripts/multi30k_structure.sh "$text" "$kind-gradient-$amount-$seed" >&2
        ;;
    srp | narrow)
        local run=${kind/srp/two_stage}-$amount-sa-$seed
        checkpoint=checkpoints/multi30k-srp/$run/finetuned/checkpoint_last.pt
        [ -e "${checkpoint%.pt}.test.log" ] || scripts/multi30k_srp.sh "$text" "$run" >&2
        ;;
    decoder | decoder+self)
        checkpoint=$out/$kind-$amount-$seed/checkpoint_last.pt
        local teacher=""
        [ "$kind" = decoder ] || teacher="--prune-teacher self"
        cut_layers "${checkpoint%/*}" "$amount" "$seed" $teacher >&2
        ;;
    shallow | shallow+taught)
        checkpoint=$out/$kind-$amount-$seed/checkpoint_best.pt
        local teacher=""
        [ "$kind" = shallow ] || teacher="--prune-teacher $dense"
        from_scratch "${checkpoint%/*}" "$seed" $(options 4 "$amount") --task prune_translation $teacher >&2
        ;;
    *)
        echo "RUN $kind-$amount-$seed: no such kind; give e.g. decoder+self-1-1" >&2
        exit 2
        ;;
    esac
}

points="dense=$dense"
for run in ${*:-$all}; do
    IFS=- read -r kind amount seed <<<"$run"
    train "$kind" "$amount" "$seed"
    points="$points $run=$checkpoint"
done
[ -z "${ONLY_TRAIN:-}" ] || exit 0
OMP_NUM_THREADS=1 fairseq-prune bench $points --data $data --runtimes fairseq,ctranslate2,ctranslate2-int8 --beam 5,2,1 \
    --batch-sizes 128 --sentences 1000 --png $out.png --json >$out.json.part
mv $out.json.part $out.json
python3 scripts/fast_page.py $out.json
