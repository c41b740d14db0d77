#!/usr/bin/env bash
# Speed against quality on Multi30k German-English: the frontier of docs/fast.md.
#
#   scripts/multi30k_frontier.sh TEXT [RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. A RUN is KIND-AMOUNT-SEED, and starts from the dense model of scripts/multi30k.sh
# (4 + 4 layers, 15 epochs) unless it says otherwise:
#   longer-0         nothing is removed, two epochs more, as in most of the others; longer+self-0: the dense model teaches it
#   magnitude-0.8    single weights, two epochs
#   neuron-0.5       half of the neurons cut, two epochs; head-0.5: half of the heads; neuron+self-0.5, head+self-0.5: taught
#   srp-0.2          SRP: 0.2 of the parameters are left, two epochs of shrinking and three of finetuning (0.1 to 0.5)
#   decoder-1        1 layer of the decoder is left (or 2): cut, two epochs; decoder+self-1: taught
#   student-4+1      4 layers of the encoder and 1 of the decoder (or 6+1, 12+1, 4+2) from scratch, 15 epochs; student+self-4+1: taught
#   narrow-0.2       a narrow Transformer from scratch, 15 epochs and five
# Without a RUN, one of each and all of SRP's, seed 1. Every training is skipped once its result stands. At the end
# `fairseq-prune bench` runs them and the dense model beside each other, in fairseq and CTranslate2 (float32, int8), with
# beams of 5, 2 and 1 on one thread, and writes checkpoints/multi30k-frontier.{json,png}; scripts/fast_page.py puts them
# on the page. Environment variables: multi30k_options.sh; ONLY_TRAIN=1 leaves out the measuring.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
. scripts/multi30k_options.sh

text=${1:?usage: scripts/multi30k_frontier.sh TEXT [RUN ...], e.g. scripts/multi30k_frontier.sh ../shared/data/multi30k-de-en decoder+self-1-1}
shift
all="student-12+1-1 student+self-12+1-1 student-6+1-1 student+self-6+1-1 student-4+1-1 student+self-4+1-1 narrow-0.2-1
    srp-0.1-1 srp-0.2-1 srp-0.3-1 srp-0.4-1 srp-0.5-1 longer-0-1 longer+self-0-1 magnitude-0.8-1 neuron-0.5-1 neuron+self-0.5-1
    head-0.5-1 head+self-0.5-1 decoder-2-1 decoder-1-1 decoder+self-2-1 decoder+self-1-1"
out=$checkpoints/multi30k-frontier
listed ${*:-$all}
begin "$text"

of() { # of SCRIPT RUN: the row of a RUN of another script, which is made unless it stands
    ONLY_TRAIN=1 "scripts/$1" "$text" "$2" | tail -n 1
}

decoder() { # decoder NAME LAYERS_LEFT SEED [fairseq-train options]: its row
    local folder=$out/$1
    once "$folder" scripts/prune.sh "$data" "$dense" "$folder" "$(python3 -c "print(1 - $2 / 4)")" "$updates" $(options 4 4) \
        --lr 1e-3 --warmup-updates 100 --seed "$3" --prune-units layer --prune-method shortgpt \
        --prune-only 'decoder.layers.*' "${@:4}"
    translated "$folder/checkpoint_last.pt"
    echo "$1=$folder/checkpoint_last.test.log:$folder/checkpoint_last.pt"
}

row() { # row KIND AMOUNT SEED: NAME=LOG:CHECKPOINT of its run, which is made unless it stands
    local name=$1-$2-$3
    case $1 in
    longer | longer+self | magnitude | student | student+self) of multi30k.sh "$name" ;;
    neuron | head) of multi30k_structure.sh "$1-gradient-$2-$3" ;;
    neuron+self | head+self) of multi30k_structure.sh "${1%+self}-gradient+self-$2-$3" ;;
    srp) of multi30k_srp.sh "two_stage-$2-sa-$3" ;;
    narrow) of multi30k_srp.sh "narrow-$2-sa-$3" ;;
    decoder) decoder "$name" "$2" "$3" ;;
    decoder+self) decoder "$name" "$2" "$3" --prune-teacher self ;;
    *)
        echo "RUN $name: no such kind; give e.g. decoder+self-1-1" >&2
        exit 2
        ;;
    esac
}

rows="dense=${dense%.pt}.test.log:$dense"
for run in ${*:-$all}; do
    IFS=- read -r kind amount seed <<<"$run"
    made=$(set -e; row "$kind" "$amount" "$seed")
    rows="$rows $run=${made#*=}"
done
[ -z "${ONLY_TRAIN:-}" ] || exec printf '%s\n' $rows
OMP_NUM_THREADS=1 fairseq-prune bench $(for row in $rows; do echo "${row%%=*}=${row##*:}"; done) --data "$data" \
    --runtimes fairseq,ctranslate2,ctranslate2-int8 --beam 5,2,1 --batch-sizes 128 --sentences 1000 --png $out.png --json >$out.json.part
mv $out.json.part $out.json
python3 scripts/fast_page.py $out.json
