# Sourced by the scripts of this folder, which make the published results in steps of at most MINUTES. Called again a script
# goes on where it stopped; it says "more to do" and exits with 75 until all is done. Environment variables:
#   MINUTES    of one call (8)
#   STATE      folder that has to come back between calls: packed checkpoints and logs, of finished runs in files of
#              16 MiB at most (checkpoints/evidence)
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

keep() { # keep FOLDER [CHECKPOINT]: of a run that was tested, in fp16 without moments, in files of at most 16 MiB
    local file=${2:-$1/checkpoint_last.pt}
    [ -e "$file" ] || return 0
    if [ ! -e "$1/kept" ]; then
        find "$1" -name '*.pt' ! -path "$file" -delete
        fairseq-prune pack "$file" "$file.part" --half >>"$1/log" 2>&1 || fail "$1/log"
        mv "$file.part" "$file"
        touch "$1/kept"
    fi
    [ "$(stat -c %s "$file")" -le "${KEEP:-$most}" ] || { split -d -b "${KEEP:-$most}" "$file" "$file." && rm "$file"; }
}

whole() { # whole CHECKPOINT: put together what was split
    [ ! -e "$1.00" ] || { cat "$1".[0-9]* >"$1.part" && mv "$1.part" "$1" && rm "$1".[0-9]*; }
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
