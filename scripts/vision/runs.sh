# Sourced by the scripts of docs/results.md: each step is skipped once its result stands. They set $images, the data, and
# $common, what fairseq-train and fairseq-validate both need.
. scripts/machine.sh
. scripts/vision/early.sh
device=$(device)

train() { # train FOLDER OPTION...: to its end; an interrupted run continues
    local folder=$1
    shift
    [ ! -e "$folder/done" ] || return 0
    mkdir -p "$folder"
    fairseq-train "$images" $common --criterion image_classification --optimizer sgd --momentum 0.9 \
        --weight-decay 5e-4 --lr-scheduler phased --num-workers 0 --no-epoch-checkpoints --log-format simple \
        --save-dir "$folder" "$@" >>"$folder/log" 2>&1 || { tail -n 3 "$folder/log" >&2; exit 1; }
    touch "$folder/done"
}

evaluate() { # evaluate FOLDER: its last checkpoint on the test set, into test.log
    [ ! -e "$1/test.log" ] || return 0
    fairseq-validate "$images" $common --path "$1/checkpoint_last.pt" --valid-subset test --log-format json \
        >"$1/part.log" 2>&1 || { tail -n 3 "$1/part.log" >&2; exit 1; }
    mv "$1/part.log" "$1/test.log"
}
