#!/usr/bin/env bash
# Turns tokenised parallel text into a binarised corpus with a joint BPE.
#
#   [DICTIONARIES=separate] scripts/prepare.sh TEXT OUT SRC TGT [BPE_MERGES]
#
# TEXT holds train.SRC, train.TGT, valid.SRC, valid.TGT and any number of
# test*.SRC/test*.TGT, one sentence a line. OUT becomes a fairseq data folder
# with one dictionary for both sides (joined, the default) or one for each
# (separate), and keeps the BPE codes; one that was made of the same stays
# (MADE_OF tells of what, where TEXT is only on the way). Needs
# fairseq-preprocess and subword-nmt on PATH (source .venv/bin/activate).
set -euo pipefail
. "$(dirname "$0")/kept.sh"

usage="usage: scripts/prepare.sh TEXT OUT SRC TGT [BPE_MERGES], e.g. scripts/prepare.sh corpus data-bin/corpus de en 6000"
text=${1:?$usage} out=${2:?$usage} src=${3:?$usage} tgt=${4:?$usage} merges=${5:-6000}

case ${DICTIONARIES:=joined} in
    joined) join=--joined-dictionary ;;
    separate) join="" ;;
    *) echo "DICTIONARIES $DICTIONARIES: give joined or separate; $usage" >&2; exit 2 ;;
esac
for split in train valid; do
    for side in "$src" "$tgt"; do
        [ -s "$text/$split.$side" ] || { echo "TEXT $text: no file $split.$side; $usage" >&2; exit 2; }
    done
done

made_of=${MADE_OF:-$(made_of "$src $tgt $merges $DICTIONARIES" "$text"/{train,valid,test*}.{"$src","$tgt"})}
keep "$out" "$made_of" "$usage"

mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(dirname "$out")/.prepare.XXXXXX") # beside OUT, which so appears whole
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bpe" "$work/bin"

subword-nmt learn-joint-bpe-and-vocab --input "$text/train.$src" "$text/train.$tgt" -s "$merges" \
    -o "$work/bin/bpe.codes" --write-vocabulary "$work/vocab.$src" "$work/vocab.$tgt"
tests=""
for file in "$text"/train."$src" "$text"/valid."$src" "$text"/test*."$src"; do
    [ -e "$file" ] || continue
    name=$(basename "$file" ".$src")
    for side in "$src" "$tgt"; do
        subword-nmt apply-bpe -c "$work/bin/bpe.codes" <"$text/$name.$side" >"$work/bpe/$name.$side"
    done
    case $name in test*) tests="$tests${tests:+,}$work/bpe/$name" ;; esac
done
fairseq-preprocess --source-lang "$src" --target-lang "$tgt" $join --workers 2 \
    --trainpref "$work/bpe/train" --validpref "$work/bpe/valid" ${tests:+--testpref "$tests"} \
    --destdir "$work/bin"

echo "$made_of" >"$work/bin/made-of.txt"
mv "$work/bin" "$out"
entries() { echo "$(($(wc -l <"$out/dict.$1.txt") + 4)) $1"; } # with fairseq's four special symbols
echo "binarised corpus in $out; entries of the dictionaries ($DICTIONARIES): $(entries "$src"), $(entries "$tgt")"
