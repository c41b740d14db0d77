# Sourced by the scripts that are given a binarised corpus.

corpus() { # corpus NAME FOLDER HINT: ends the script where FOLDER is none
    [ -d "$2" ] || { echo "$1 $2: no such folder; $3" >&2; exit 2; }
    compgen -G "$2/dict*.txt" >/dev/null || { echo "$1 $2: no dict.*.txt of fairseq-preprocess in it; $3" >&2; exit 2; }
}
