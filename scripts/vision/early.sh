# Sourced: what methods before training need.
early() { # early METHOD FRACTION DURING...: prints the options; DURING are those of methods that are called during_... or, for nodes, late_...
    local method=$1 fraction=$2
    shift 2
    case $method in
    none) ;;
    random_nodes) echo "--prune-method random --prune-units node --prune-target $fraction" ;;
    late_*) echo "--prune-method ${method#late_} --prune-units node --prune-scope layer --prune-target $fraction $*" ;;
    during_*) echo "--prune-method ${method#during_} --prune-target $fraction $*" ;;
    *) echo "--prune-method $method --prune-target $fraction" ;;
    esac
}
