#!/usr/bin/env bash
# SiPO's inspections: a dense and a pruned model side by side.
#
#   scripts/sipo/inspect.sh lm|rnnsearch|luongnet ORIGINAL PRUNED
#
# DATA (environment) is the binarised corpus; data-bin/ptb or data-bin/wmt14 by default.
set -euo pipefail
. "$(dirname "$0")/../given.sh"
usage="usage: scripts/sipo/inspect.sh lm|rnnsearch|luongnet ORIGINAL PRUNED"
model=${1:?$usage} original=${2:?$usage} pruned=${3:?$usage}
case $model in
lm) data=${DATA:-data-bin/ptb} title="Language Model" ;;
rnnsearch) data=${DATA:-data-bin/wmt14} title="NMT Model: RNNSearch" ;;
luongnet) data=${DATA:-data-bin/wmt14} title="NMT Model: LuongNet" ;;
*) echo "$model: $usage" >&2; exit 2 ;;
esac
corpus DATA "$data" "make it with scripts/sipo/prepare_lm.sh or prepare_nmt.sh"
echo "======== $title ========"
fairseq-prune inspect "$pruned" --original "$original" --data "$data"
