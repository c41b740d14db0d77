#!/usr/bin/env bash
# Turns word-level text into a binarised corpus for language models: one word a token, rare words as <unk>.
#
#   scripts/sipo/prepare_lm.sh TEXT OUT [SUFFIX [WORDS]]
#
# TEXT holds train.SUFFIX, valid.SUFFIX and test.SUFFIX (or test2016.SUFFIX), one sentence a line; SUFFIX is txt
# (the Penn Treebank's train.txt, valid.txt, test.txt) or a language. The vocabulary is that of the training text:
# its WORDS most frequent words (default 10000, where <unk> and the end of a line count as words). An OUT that was made of the
# same stays.
set -euo pipefail
. "$(dirname "$0")/../kept.sh"

usage="usage: scripts/sipo/prepare_lm.sh TEXT OUT [SUFFIX [WORDS]], e.g. scripts/sipo/prepare_lm.sh ptb data-bin/ptb"
text=${1:?$usage} out=${2:?$usage} suffix=${3:-txt} words=${4:-10000}

test=$text/test.$suffix
[ -e "$test" ] || test=$text/test2016.$suffix
for file in "$text/train.$suffix" "$text/valid.$suffix" "$test"; do
    [ -s "$file" ] || { echo "TEXT $text: no file $(basename "$file"), or an empty one; $usage" >&2; exit 2; }
done
made_of=$(made_of "$suffix $words" "$text/train.$suffix" "$text/valid.$suffix" "$test")
keep "$out" "$made_of" "$usage"

work=$(mktemp -d "${TMPDIR:-/tmp}/prepare.XXXXXX")
trap 'rm -rf "$work"' EXIT
fairseq-preprocess --only-source --trainpref "$text/train.$suffix" --validpref "$text/valid.$suffix" --testpref "$test" \
    --nwordssrc $((words + 2)) --padding-factor 1 --workers 2 --destdir "$work/bin" # 2 more: <s> and <pad>
echo "$made_of" >"$work/bin/made-of.txt"
mkdir -p "$(dirname "$out")"
mv "$work/bin" "$out"
echo "binarised corpus in $out"
