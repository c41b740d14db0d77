#!/usr/bin/env bash
# Runs of Multi30k's tables side by side, a row of BLEU or perplexity each: scripts/gpu/evidence/multi30k.sh TEXT JOB ...
#
# A JOB is SCRIPT:RUN, a RUN of scripts/multi30k_SCRIPT.sh, e.g. structure:head-taylor+self-0.5-1 or distil:student-6+1-1, in
# the order given, so the longest first; SCRIPT:WORD or SCRIPT, e.g. structure:importances, distil:2 or frontier, are all that
# the script makes of it. SCRIPT may be multi30k, distil, structure, one_shot, sparse_training, srp, frontier, hidden_lm, hidden_nmt.
# When MINUTES are over, trainings are killed, and the next call goes on with them. What a finished run leaves in STATE, packed,
# with its log, is what the scripts look for: copied into checkpoints/, they print their tables. Environment variables:
#   JOBS   at a time (as many as there are cores)
#   DENSE  the dense Transformer, DATA and others: scripts/multi30k_options.sh
# and those of common.sh.
source "$(dirname "$0")/common.sh"
usage="usage: scripts/gpu/evidence/multi30k.sh TEXT JOB ..., e.g. scripts/gpu/evidence/multi30k.sh ../shared/data/multi30k-de-en structure:importances distil:1"
text=${1:?$usage}
shift
: "${1:?$usage}"
export CHECKPOINTS=$STATE OMP_NUM_THREADS=1 ONLY_TRAIN=1
if [ -n "$MINIATURE" ]; then export UPDATES=10 EPOCHS=1; fi
mkdir -p "$STATE/logs"

said() { # said JOB: the words that call its script, but for the RUN
    case $1 in
    multi30k*) echo scripts/multi30k.sh "$text" ;;
    hidden_*) set -- "${1%%:*}" && echo scripts/multi30k_hidden.sh "${1#hidden_}" "$text" ;;
    *) echo "scripts/multi30k_${1%%:*}.sh" "$text" ;;
    esac
}

runs_of() { # runs_of JOB: as SCRIPT:RUN, one a line
    local word=
    case $1 in *:*) word=${1#*:} ;; esac
    ONLY_LIST=1 $(said "$1") $word | sed "s/^/${1%%:*}:/"
}

line_of() { # line_of NAME=LOG:CHECKPOINT, or NAME=CHECKPOINT of a language model: its line of the table
    case ${1##*=} in
    *:*) python3 scripts/compare.py "$1" ;;
    *) python3 scripts/compare_lm.py --rounds 1 "$1" ;;
    esac | sed -n 2p
}

one() { # one SCRIPT:RUN: trained, translated, told and packed; what others start from stays as it is
    local log=$STATE/logs/${1//:/_} found checkpoint folder
    found=$(limited $(said "$1") "${1#*:}" 2>>"$log" 3>/dev/null | tail -n 1)
    row "$1" "$(line_of "$found" 2>>"$log")"
    checkpoint=${found##*[=:]} folder=$(dirname "$checkpoint")
    [ -e "$folder/done" ] || folder=$(dirname "$folder")
    case $1 in *:dense*) ;; *) keep "$folder" "$checkpoint" ;; esac
}

jobs=$(for job in "$@"; do runs_of "$job"; done)
cores=$(env -u OMP_NUM_THREADS nproc) # else it tells that
pids="" failed="" unfinished=""
for job in $jobs; do
    if stands "$job"; then continue; fi
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$cores}" ]; do sleep 0.2; done
    (one "$job") &
    pids="$pids $!:$job"
done
for each in $pids; do
    status=0
    wait "${each%%:*}" || status=$?
    case $status in
    0) ;;
    75) unfinished=1 ;;
    *) failed=1 log=$STATE/logs/$(tr : _ <<<"${each#*:}") && tail -n 3 "$log" | cut -c -300 >&2 ;;
    esac
done
[ -z "$failed" ] || exit 1
[ -z "$unfinished" ] || more
