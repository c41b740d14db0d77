# Sourced by the scripts of this folder, which make the published results in steps of at most MINUTES. Called again a script
# goes on where it stopped; it says "more to do" and exits with 75 until all is done. Environment variables:
#   MINUTES    of one call (8)
#   STATE      folder that has to come back between calls: packed checkpoints and logs, under 16 MiB a finished run; of
#              cifar.sh's larger dense nets, none, which are trained again where they are wanted again (checkpoints/evidence)
#   TABLE      Markdown file that rows are added to, with the card's name ($STATE/table.md)
#   MINIATURE  1: tiny models and few updates, to try it on a CPU
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. scripts/machine.sh
MINUTES=${MINUTES:-8} STATE=${STATE:-checkpoints/evidence} MINIATURE=${MINIATURE:-} TABLE=${TABLE:-$STATE/table.md}
device=$(device) began=$SECONDS
card=$(python3 -c 'import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU")')
mkdir -p "$STATE"
exec 3>&1 # past the logs
more() { echo "more to do: call it again" >&3; exit 75; }

limited() { # limited COMMAND...: as long as there is time in this call
    local left=$((60 * MINUTES - (SECONDS - began))) status=0
    [ "$left" -gt 0 ] || more
    timeout "$left" "$@" || status=$?
    [ "$status" -ne 124 ] || more
    return "$status"
}

train() { # train FOLDER OPTION...: to its end; packed, one checkpoint every 200 updates
    local folder=$1
    shift
    [ ! -e "$folder/done" ] || return 0
    mkdir -p "$folder"
    limited fairseq-train "$@" --user-dir fairseq_prune --prune-pack --no-epoch-checkpoints \
        --save-interval-updates "${EVERY:-200}" --keep-interval-updates 1 --disable-validation \
        --save-dir "$folder" --num-workers 0 --log-format simple $device >>"$folder/log" 2>&1 || fail "$folder/log"
    touch "$folder/done"
}

most=$((16 << 20)) # bytes

keep() { # keep FOLDER [CHECKPOINT]: of a run that was tested, one file in fp16 without moments; nothing if it is over 16 MiB
    local file=${2:-$1/checkpoint_last.pt}
    [ -e "$file" ] && [ ! -e "$1/kept" ] || return 0
    find "$1" -name '*.pt' ! -path "$file" -delete
    fairseq-prune pack "$file" "$file.part" --half >>"$1/log" 2>&1 || fail "$1/log"
    mv "$file.part" "$file"
    if [ "$(stat -c %s "$file")" -le "${KEEP:-$most}" ]; then touch "$1/kept"; else rm "$file" "$1/done"; fi
}

stands() { # stands NAME: prints its row of the table, if it has one
    grep -sF "| $1 | $card |" "$TABLE"
}

fail() { # fail LOG
    tail -n 3 "$1" | cut -c -300 >&2
    exit 1
}

row() { # row NAME RESULT...: adds a row to the table, once
    local name=$1
    shift
    stands "$name" >/dev/null || printf '| %s | %s | %s | %s |\n' "$name" "$card" "$(date +%F)" "$*" >>"$TABLE"
    stands "$name"
}
