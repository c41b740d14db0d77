# Sourced by the demos, which say in $steps how many steps they have and in $runs where their logs go.
. scripts/machine.sh
number=0

step() { # step TEXT RESULT COMMAND...: runs the command unless its result stands; a plain folder gets a mark
    local text=$1 result=$2 log began=$SECONDS
    shift 2
    number=$((number + 1))
    log=$runs/step$number.log
    if [ -e "$result" ]; then
        echo "[$number/$steps] $text: done before"
        return
    fi
    echo "[$number/$steps] $text"
    "$@" >>"$log" 2>&1 || {
        tail -n 3 "$log" >&2
        echo "${0##*/}: step $number failed, see $log" >&2
        exit 1
    }
    [ -e "$result" ] || touch "$result"
    echo "      $((SECONDS - began)) s"
}
