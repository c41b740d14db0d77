# Sourced by the scripts that prepare data: what they have made of the same before is kept.

made_of() { # made_of SETTINGS FILE...: one line that tells whether a folder was made of these
    local settings=$1
    shift
    echo "$settings, text $({ cat "$@" 2>/dev/null || true; } | cksum)"
}

keep() { # keep OUT MADE_OF USAGE: ends the script where OUT was made of that; refuses any other OUT
    [ -e "$1" ] || return 0
    [ "$(cat "$1/made-of.txt" 2>/dev/null)" != "$2" ] || { echo "$1: already there, kept"; exit; }
    echo "OUT $1 exists already and was made of something else; remove it or give another folder; $3" >&2
    exit 2
}
