#!/usr/bin/env bash
# What a teacher is worth on Multi30k German-English: runs that learn from the dense model, and the same without it.
#
#   scripts/multi30k_distil.sh TEXT [SEED|RUN ...]
#
# TEXT holds train/valid/test2016.{de,en}. One table: Transformers of 6 + 1 and 12 + 1 layers from scratch, as long as the
# dense model of scripts/multi30k.sh; and that model with 80 and 90 % removed in two epochs by magnitude, movement and
# SparseGPT, and with nothing removed. All are RUNs of scripts/multi30k.sh; a SEED stands for all of its own. Seed 1 if
# nothing is given.
set -euo pipefail

text=${1:?usage: scripts/multi30k_distil.sh TEXT [SEED|RUN ...], e.g. scripts/multi30k_distil.sh ../shared/data/multi30k-de-en 1 2 3}
runs=
shift
for word in ${*:-1}; do
    case $word in *[!0-9]*) runs="$runs $word" && continue ;; esac
    for what in student-12+1 student-6+1 longer-0 {magnitude,movement,sparsegpt}-{0.8,0.9}; do
        runs="$runs $what-$word ${what/-/+self-}-$word"
    done
done
exec "$(dirname "$0")/multi30k.sh" "$text" $runs
