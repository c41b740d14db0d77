#!/usr/bin/env bash
# Translates a corpus's test set, keeps the output and prints its score and speed.
#
#   scripts/evaluate.sh DATA CHECKPOINT [fairseq-generate options]
#
# Batches may have any size: by default fairseq drops the last batch if it is no multiple of 8.
# The output lies beside the checkpoint, checkpoint_best.pt's as checkpoint_best.test.log,
# for scripts/compare.py. It works for dense and pruned checkpoints alike.
set -euo pipefail
. "$(dirname "$0")/given.sh"

usage="usage: scripts/evaluate.sh DATA CHECKPOINT [fairseq-generate options], e.g. scripts/evaluate.sh data-bin/mine checkpoints/mine/checkpoint_best.pt --beam 5"
data=${1:?$usage} checkpoint=${2:?$usage}
shift 2
corpus DATA "$data" "$usage"
[ -f "$checkpoint" ] || { echo "CHECKPOINT $checkpoint: no such file; $usage" >&2; exit 2; }

here=$(cd "$(dirname "$0")/.." && pwd)
log=${checkpoint%.pt}.test.log
trap 'rm -f "$log.part" "$log.err"' EXIT
fairseq-generate "$data" --user-dir "$here/fairseq_prune" --task prune_translation --path "$checkpoint" \
    --remove-bpe --scoring sacrebleu --max-tokens 8000 --required-batch-size-multiple 1 --beam 4 "$@" 2>&1 >"$log.part" | tee "$log.err" >&2
grep sentences/s "$log.err" >>"$log.part" || true # the speed, which fairseq prints on either stream
mv "$log.part" "$log"
grep -E '^Generate |sentences/s' "$log"
