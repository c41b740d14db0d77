#!/usr/bin/env bash
# Runs all benchmarks and writes docs/benchmarks.md: make bench (after make demo, on an idle machine).
set -euo pipefail
cd "$(dirname "$0")/.."
page=docs/benchmarks.md
{
    echo "# Benchmarks"
    echo
    echo "Written by \`make bench\` on $(date +%F): $(env -u OMP_NUM_THREADS nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)," \
        "Python $(python3 -c 'import platform; print(platform.python_version())')," \
        "torch $(python3 -c 'import torch; print(torch.__version__)')." \
        "Every table compares within one run; load average at the start $(cut -d' ' -f1 /proc/loadavg)."
    while read -r benchmark; do
        printf '\n`python benchmarks/%s`\n\n' "$benchmark"
        python3 benchmarks/$benchmark </dev/null
    done <<END
selection.py
training_step.py --size iwslt_de_en --max-tokens 4096 --rounds 10
training_step.py
srp_generation.py
deployed_speed.py
rnn_lm_training.py
sipo_evaluation.py
augmentation.py
vision_step.py
masks.py
launches.py
permutation.py
vision_reach.py
before_training.py
one_shot.py
start_up.py
END
} >$page.tmp
mv $page.tmp $page
cat $page
