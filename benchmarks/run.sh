#!/usr/bin/env bash
# Runs all benchmarks and writes docs/benchmarks.md: make bench (after make demo, on an idle machine).
set -euo pipefail
cd "$(dirname "$0")/.."
page=docs/benchmarks.md
{
    echo "# Benchmarks"
    echo
    echo "Written by \`make bench\` on $(date +%F): $(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)," \
        "Python $(python3 -c 'import platform; print(platform.python_version())')," \
        "torch $(python3 -c 'import torch; print(torch.__version__)')." \
        "Every table compares within one run; load average at the start $(cut -d' ' -f1 /proc/loadavg)."
    for benchmark in selection training_step srp_generation rnn_lm_training sipo_evaluation augmentation vision_step masks permutation before_training start_up; do
        printf '\n`python benchmarks/%s.py`\n\n' $benchmark
        python3 benchmarks/$benchmark.py
    done
} >$page.tmp
mv $page.tmp $page
cat $page
