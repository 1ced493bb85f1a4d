#!/usr/bin/env bash
# Builds everything and runs all tests. From a fresh clone on Debian 12 nothing else is needed.
#   scripts/test.sh [PRESET [CTEST-FLAGS...]]     PRESET: dev (the default), asan, tsan
# Tests over the full oracle folder run when FARTHING_FIXTURES names one, and are skipped otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-dev}
shift || true
jobs=$(nproc)
scripts/install_dependencies.sh
cmake --preset "$preset"
cmake --build "build/$preset" -j "$jobs"
ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" "$@"
