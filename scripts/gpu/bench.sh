#!/usr/bin/env bash
# Measures on this machine's GPU, each table in 2 minutes at most: scripts/gpu/bench.sh [cpu|cuda]. Prints its tables and
# writes them to checkpoints/gpu-bench.md ($PAGE). MINIATURE=1: too small to tell anything, to try it on a CPU.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
device=${1:-cuda} page=${PAGE:-checkpoints/gpu-bench.md} data=data-bin/demo
mkdir -p "$(dirname "$page")"
if [ ! -e $data/dict.de.txt ]; then
    data=checkpoints/gpu-text/bin
    [ -e $data/dict.de.txt ] || {
        python3 scripts/make_corpus.py checkpoints/gpu-text --pairs 3000
        scripts/prepare.sh checkpoints/gpu-text $data de en 1500
    } >&2
fi
tables() {
    if [ -n "${MINIATURE:-}" ]; then
        cat <<END
selection.py --scores 100000
training_step.py --data $data --size 3+3x256 --max-tokens 60 --rounds 1
training_step.py --data $data --size 3+3x256 --max-tokens 60 --rounds 1 --precision=--bf16
before_training.py --batch-size 2 --turns 1 --step-batch-size 2 --rounds 1
vision_step.py --rounds 1 --batch-size 2
sipo_evaluation.py --updates 1 --rounds 1 --tokens 400
srp_generation.py --arch srp_tiny --rounds 1 --sentences 4 --batch-size 4
END
    else
        cat <<END
selection.py
training_step.py --data $data --size iwslt_de_en --max-tokens 4096 --rounds 10
training_step.py --data $data --size iwslt_de_en --max-tokens 4096 --rounds 10 --precision=--bf16
before_training.py --batch-size 512
vision_step.py --rounds 20
sipo_evaluation.py --updates 50
srp_generation.py --arch srp_iwslt_de_en --rounds 1 --sentences 1024 --batch-size 128 1024 32 1
END
    fi
}
{
    echo "$(date +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    tables | while read -r benchmark; do
        printf '\n`python benchmarks/%s --device %s`\n\n' "$benchmark" "$device"
        timeout 120 python3 benchmarks/$benchmark --device "$device" </dev/null 2>"$page.log" ||
            echo "(did not end: $(tail -n 1 "$page.log"))"
    done
} | tee "$page.part"
mv "$page.part" "$page"
