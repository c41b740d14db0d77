#!/usr/bin/env bash
# Measures on this machine's GPU, each table in 2 minutes at most: scripts/gpu/bench.sh [cpu|cuda]. Prints its tables and
# writes them to checkpoints/gpu-bench.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
device=${1:-cuda} page=checkpoints/gpu-bench.md
if [ ! -e data-bin/demo/dict.de.txt ]; then
    python3 scripts/make_corpus.py checkpoints/gpu-text >&2
    scripts/prepare.sh checkpoints/gpu-text data-bin/demo de en 1500 >&2
fi
{
    echo "$(date +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    while read -r benchmark; do
        printf '\n`python benchmarks/%s --device %s`\n\n' "$benchmark" "$device"
        timeout 120 python3 benchmarks/$benchmark --device "$device" </dev/null || echo "(did not end)"
    done <<END
selection.py
training_step.py --size iwslt_de_en --max-tokens 4096 --rounds 20
training_step.py --size iwslt_de_en --max-tokens 4096 --rounds 20 --precision=--bf16
before_training.py --batch-size 512
vision_step.py --rounds 20
sipo_evaluation.py --updates 50
srp_generation.py --arch srp_iwslt_de_en --rounds 1 --sentences 1024 --batch-size 1 32 128 1024
END
} | tee $page.part
mv $page.part $page
