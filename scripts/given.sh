# Sourced by the scripts that are given data.

corpus() { # corpus NAME FOLDER HINT: ends the script where FOLDER is none
    [ -d "$2" ] || { echo "$1 $2: no such folder; $3" >&2; exit 2; }
    compgen -G "$2/dict*.txt" >/dev/null || { echo "$1 $2: no dict.*.txt of fairseq-preprocess in it; $3" >&2; exit 2; }
}

images() { # images FOLDER: ends the script where there is nothing in it
    compgen -G "$1/*" >/dev/null || { echo "IMAGES $1: no such folder, or an empty one; give e.g. ../shared/data/cifar10" >&2; exit 2; }
}
