# Sourced by scripts that train on Multi30k: places, options, and how a run is trained, translated and told. Only rows and
# tables go to standard output. Calls may run side by side: one waits where another one makes what it needs. Environment variables:
#   ONLY_TRAIN   1: train and translate the RUNs, and print NAME=LOG:CHECKPOINT of each (NAME=CHECKPOINT for language models);
#                a call without it finds all results standing and prints the table
#   ONLY_LIST    1: print the RUNs, one a line, and do nothing
#   SPEED        1: translate all anew before the table, one after the other, so that their sentences/s can be compared
#   CHECKPOINTS  folder of all results (checkpoints)
#   DENSE        the dense Transformer (CHECKPOINTS/multi30k/dense/checkpoint_best.pt, which is trained first)
#   DATA         the binarised corpus (data-bin/multi30k)
#   EPOCHS       of a Transformer from scratch (15)
#   UPDATES      of a run that starts from a trained one (504, two epochs)
. scripts/given.sh
checkpoints=${CHECKPOINTS:-checkpoints} data=${DATA:-data-bin/multi30k} updates=${UPDATES:-504}
multi30k=$checkpoints/multi30k
dense=${DENSE:-$multi30k/dense/checkpoint_best.pt}
device=$([ -n "${ONLY_LIST:-}" ] || device)

# options ENCODER_LAYERS DECODER_LAYERS: with 4 and 4 the "tiny" Transformer that Wu et al. (ACL 2021) use for Multi30k.
options() {
    echo "--user-dir fairseq_prune --arch transformer --share-all-embeddings --dropout 0.2
    --encoder-layers $1 --encoder-embed-dim 128 --encoder-ffn-embed-dim 256 --encoder-attention-heads 4
    --decoder-layers $2 --decoder-embed-dim 128 --decoder-ffn-embed-dim 256 --decoder-attention-heads 4
    --criterion label_smoothed_cross_entropy --label-smoothing 0.1
    --optimizer adam --adam-betas (0.9,0.98) --clip-norm 1.0 --max-tokens 2048 --num-workers 0
    --no-epoch-checkpoints --log-format simple --log-interval 50 $device"
}

alone() { # alone FOLDER COMMAND ...: while no other call is at work in that folder
    mkdir -p "$1"
    (flock 9 && shift && "$@" >&2) 9<"$1"
}

unless() { # unless FILE COMMAND ...
    [ -e "$1" ] || "${@:2}"
}

marked() { # marked FOLDER COMMAND ...: then there is FOLDER/done
    "${@:2}"
    touch "$1/done"
}

once() { # once FOLDER COMMAND ...: trains what is in FOLDER, unless that is done
    alone "$1" unless "$1/done" marked "$@"
}

translated() { # translated CHECKPOINT: its log of the test set, unless that stands
    alone "$(dirname "$1")" unless "${1%.pt}.test.log" scripts/evaluate.sh "$data" "$1" $device
}

from_scratch() { # from_scratch OUT SEED [fairseq-train options]
    once "$1" fairseq-train "$data" "${@:3}" --seed "$2" --save-dir "$1" \
        --lr 3e-3 --lr-scheduler inverse_sqrt --warmup-updates 600 --max-epoch "${EPOCHS:-15}"
    translated "$1/checkpoint_best.pt"
}

listed() { # listed RUN ...: prints them and ends, if that is what is wanted
    [ -z "${ONLY_LIST:-}" ] || { printf '%s\n' "$@"; exit; }
}

prepared() { # prepared SCRIPT TEXT DATA ...: the binarised corpus, unless it is there
    [ -d "$3" ] || alone "$(dirname "$3")" "$@"
    corpus DATA "$3" "remove it to have it made, or give another one, e.g. DATA=data-bin/mine"
}

begin() { # begin TEXT: what the Transformers start from, unless it is there
    prepared scripts/prepare.sh "$1" "$data" de en 6000
    [ -n "${DENSE:-}" ] || from_scratch "$multi30k/dense" 1 $(options 4 4)
    translated "$dense"
}

told() { # told "PROGRAM OPTION ..." ROW ...: a table, or the rows alone
    if [ -z "${ONLY_TRAIN:-}" ]; then python3 $1 "${@:2}"; else printf '%s\n' "${@:2}"; fi
}

table() { # table NAME=LOG:CHECKPOINT ...
    local row
    for row in ${SPEED:+"$@"}; do
        [ -n "${ONLY_TRAIN:-}" ] || scripts/evaluate.sh "$data" "${row##*:}" $device >&2
    done
    told scripts/compare.py "$@"
}
