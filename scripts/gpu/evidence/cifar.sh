#!/usr/bin/env bash
# Runs of one net on all of CIFAR-10, a row of test accuracy, parameters and MACs each: scripts/gpu/evidence/cifar.sh IMAGES RUN ...
#
# A RUN is NET-METHOD-FRACTION-SEED, e.g. vgg16_fc3-snap_it-0.93-1, resnet18-during_snip_it-0.98-2, resnet56-none-0-1. METHOD:
#   none random snip snip_it grasp snap snap_it random_nodes  before training; during_... after each epoch of its first half
#   greg1 greg2 l1 rand                                       filters, from the dense run of its net and seed
#   irregular n:m pattern stripe filter, random+UNITS         the ratios of recipes/ddp, from the dense run; the control draws
# EPOCHS (40) of a run. Seeds side by side: several calls. Environment variables: common.sh.
source "$(dirname "$0")/common.sh"
images=${1:?usage: scripts/gpu/evidence/cifar.sh IMAGES RUN ..., e.g. scripts/gpu/evidence/cifar.sh ../shared/data/cifar10 vgg16_fc3-snap_it-0.93-1}
shift
. scripts/vision/early.sh
epochs=${EPOCHS:-40} set="--image-set cifar10" batch=512 each=98
if [ -n "$MINIATURE" ]; then images=synthetic set="--image-size 32 --max-train-images 64" batch=16 each=4 epochs=2; fi
task="--task prune_image_classification $set --batch-size $batch"
adam="--optimizer adam --lr 2e-3 --weight-decay 5e-5 --clip-norm 10 --lr-scheduler cosine --warmup-updates $each"

of() { # of NET METHOD FRACTION SEED: options of one run
    local start="--finetune-from-model $STATE/$1-none-0-$4/checkpoint_last.pt"
    case $2 in
    greg1 | greg2) echo "$start --prune-method $2 --stage-pr [0,$3,$3,$3,0] --reg-fit --prune-end $((each * epochs / 2))up" ;;
    l1) echo "$start --prune-method l1 --stage-pr [0,$3,$3,$3,0]" ;;
    rand) echo "$start --prune-method l1 --pick-pruned rand --stage-pr [0,$3,$3,$3,0]" ;;
    irregular | n:m | pattern | stripe | filter) echo "$start $(ratios "$2") --prune-every ${each}up --prune-freeze $((each * epochs / 2))up" ;;
    random+*) echo "$start $(ratios "${2#*+}") --prune-method random --prune-scope layer --prune-units $(units "${2#*+}")" ;;
    *) early "$2" "$3" "--prune-start 1ep --prune-every 1ep --prune-end $((epochs / 2))ep" ;;
    esac
}
ratios() { echo "--prune-recipe recipes/ddp/vgg16_cifar10_${1/n:m/nm}.yaml"; }
units() { case $1 in irregular) echo weight ;; pattern) echo pattern:seed ;; *) echo "$1" ;; esac; }

for run in "$@"; do
    IFS=- read -r net method fraction seed <<<"$run"
    if [ -z "${START:-}" ] && stands "$run, $epochs epochs"; then continue; fi
    options=$(of "$net" "$method" "$fraction" "$seed") dense=$net-none-0-$seed
    case $options in *finetune*) [ -e "$STATE/$dense/done" ] || START=1 "$0" "$images" "$dense" ;; esac
    folder=$STATE/${run/:/_}
    whole "$STATE/$dense/checkpoint_last.pt"
    whole "$folder/checkpoint_last.pt"
    train "$folder" "$images" $task $adam --criterion image_classification --max-update $((each * epochs)) --arch "$net" \
        --seed "$seed" $options
    [ -e "$folder/test.log" ] || fairseq-validate "$images" --user-dir fairseq_prune $task $device --valid-subset test \
        --path "$folder/checkpoint_last.pt" --log-format json >"$folder/test.log" 2>&1 || fail "$folder/test.log"
    row "$run, $epochs epochs" "$(python3 scripts/vision/compare.py "$run=$folder/test.log:$folder/checkpoint_last.pt" | sed -n 2p)"
    [ -n "${START:-}" ] || { keep "$folder" && keep "$STATE/$dense"; }
done
