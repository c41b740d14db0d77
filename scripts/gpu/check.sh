#!/usr/bin/env bash
# Checks the suite on this machine's GPU in at most 6 minutes: make gpu-check. Options: scripts/gpu/check.sh --help.
set -euo pipefail
cd "$(dirname "$0")/../.."
export OMP_NUM_THREADS=1 CUBLAS_WORKSPACE_CONFIG=:4096:8 # the latter: so that sums have one order
PYTHONPATH=$PWD:$PWD/benchmarks${PYTHONPATH:+:$PYTHONPATH} exec python3 scripts/gpu/check.py "$@"
