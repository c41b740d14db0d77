#!/usr/bin/env bash
# SiPO on a binarised corpus of language models in 20 rounds: DATA=data-bin/ptb scripts/gpu/evidence/sipo.sh all|layer|stage [SEED]
#
# Rounds whose results stand are not done again. Environment variables: common.sh and those of scripts/sipo/lm.sh.
source "$(dirname "$0")/common.sh"
group=${1:?usage: DATA=data-bin/ptb scripts/gpu/evidence/sipo.sh all|layer|stage [SEED]}
export SEED=${2:-1} RUNS=$STATE/sipo ROUNDS=${ROUNDS:-20}
[ -z "$MINIATURE" ] || export ARCH=rnn_lm_tiny EPOCHS=1 ROUNDS=1 EPOCHS_RETRAIN=1 SEARCH="--slack 1 --generations 2 --population 4"
run=$RUNS/$group-rounds-$SEED
mkdir -p "$RUNS"
limited scripts/sipo/lm.sh "$group" rounds >>"$run.log" 2>&1 || fail "$run.log"
row "SiPO, $group, seed $SEED" "$(python3 - "$run/summary.json" <<'END'
import json, sys
summary = json.load(open(sys.argv[1]))
rounds = [(f"{r['search']['removed']:.4f}", r["retrained"]["test"]) for r in summary["rounds"] if r.get("retrained")]
print("best round", summary["best"], *(f"{removed}: {test}" for removed, test in rounds))
END
)"
