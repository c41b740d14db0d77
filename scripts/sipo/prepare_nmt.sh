#!/usr/bin/env bash
# Turns word-level parallel text into a binarised corpus as SiPO's for WMT'14: whole words, short sentences.
#
#   scripts/sipo/prepare_nmt.sh TEXT OUT SRC TGT [WORDS [LONGEST]]
#
# TEXT holds tokenised train, valid and test (or test2016) .SRC and .TGT, one sentence a line; for WMT'14
# English-German e.g. what fairseq's examples/translation/prepare-wmt14en2de.sh writes before BPE. Training and
# validation keep pairs of 1 to LONGEST (50) words a side. Each side gets a dictionary of its WORDS (50000) most
# frequent words. An OUT that was made of the same stays.
set -euo pipefail
. "$(dirname "$0")/../kept.sh"

usage="usage: scripts/sipo/prepare_nmt.sh TEXT OUT SRC TGT [WORDS [LONGEST]], e.g. scripts/sipo/prepare_nmt.sh wmt14 data-bin/wmt14 en de"
text=${1:?$usage} out=${2:?$usage} src=${3:?$usage} tgt=${4:?$usage} words=${5:-50000} longest=${6:-50}

test=test
[ -e "$text/test.$src" ] || test=test2016
for split in train valid $test; do
    for side in "$src" "$tgt"; do
        [ -s "$text/$split.$side" ] || { echo "TEXT $text: no file $split.$side, or an empty one; $usage" >&2; exit 2; }
    done
done
made_of=$(made_of "$src $tgt $words $longest" "$text"/{train,valid,$test}.{"$src","$tgt"})
keep "$out" "$made_of" "$usage"

work=$(mktemp -d "${TMPDIR:-/tmp}/prepare.XXXXXX")
trap 'rm -rf "$work"' EXIT
for split in train valid; do
    paste -d '\t' "$text/$split.$src" "$text/$split.$tgt" | awk -F '\t' -v most="$longest" -v one="$work/$split.$src" \
        -v other="$work/$split.$tgt" 'NF == 2 {
            n = split($1, a, " "); m = split($2, b, " ")
            if (n >= 1 && m >= 1 && n <= most && m <= most) { print $1 >one; print $2 >other; kept++ }
        } END { printf "%d of %d pairs kept\n", kept, NR }'
done
fairseq-preprocess --source-lang "$src" --target-lang "$tgt" --trainpref "$work/train" --validpref "$work/valid" \
    --testpref "$text/$test" --nwordssrc $((words + 4)) --nwordstgt $((words + 4)) --padding-factor 1 --workers 2 \
    --destdir "$work/bin"
echo "$made_of" >"$work/bin/made-of.txt"
mkdir -p "$(dirname "$out")"
mv "$work/bin" "$out"
echo "binarised corpus in $out"
