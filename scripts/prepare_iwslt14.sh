#!/usr/bin/env bash
# Downloads IWSLT'14 German-English and turns it into a binarised fairseq corpus.
#
#   [ARCHIVE=de-en.tgz] [DICTIONARIES=joined] scripts/prepare_iwslt14.sh [OUT]
#
# About 160,000 training pairs, lower-cased, with a joint BPE of 10,000 merges; the test
# set joins dev2010, dev2012 and tst2010 to tst2012. As in fairseq's own recipe, each side has
# a dictionary of its own (separate, the default): SRP's authors had 8,848 and 6,632 entries, so
# 39,469,056 parameters of srp_iwslt_de_en; joined makes one for both. ARCHIVE names an archive
# that is here already; without it one is fetched (19 MB), which needs a network. OUT (default:
# data-bin/iwslt14.tokenized.de-en beside this folder) appears whole or not at all; one that was
# made of the same stays.
set -euo pipefail
. "$(dirname "$0")/kept.sh"

url=${IWSLT14_URL:-http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz}
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$(dirname "$here")/data-bin/iwslt14.tokenized.de-en}
export DICTIONARIES=${DICTIONARIES:-separate}
case $DICTIONARIES in joined | separate) ;; *) echo "DICTIONARIES $DICTIONARIES: give joined or separate" >&2; exit 2 ;; esac
MADE_OF=$(made_of "$url $DICTIONARIES" "${ARCHIVE:-/dev/null}")
export MADE_OF
keep "$out" "$MADE_OF" "e.g. scripts/prepare_iwslt14.sh data-bin/iwslt14"
work=$(mktemp -d "${TMPDIR:-/tmp}/iwslt14.XXXXXX")
trap 'rm -rf "$work"' EXIT

archive=${ARCHIVE:-$work/de-en.tgz}
if [ -z "${ARCHIVE:-}" ]; then
    curl -fsSL --connect-timeout 20 --retry 2 -o "$archive" "$url" 2>/dev/null ||
        { echo "cannot download $url: no network? Fetch it elsewhere, then ARCHIVE=de-en.tgz scripts/prepare_iwslt14.sh $out" >&2; exit 1; }
fi
tar -xzf "$archive" -C "$work" 2>/dev/null || { echo "ARCHIVE $archive: no readable .tgz file" >&2; exit 1; }
python3 "$here/iwslt14_text.py" "$work/de-en" "$work/text"
"$here/prepare.sh" "$work/text" "$out" de en 10000
