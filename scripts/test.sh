#!/usr/bin/env bash
# Passes the whole test suite from a clean clone: installs packages, builds program and tests, runs everything.
#   scripts/test.sh [CTEST-FLAGS...]
# FARTHING_FIXTURES=FOLDER also runs the tests over the large collections of reference outputs.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_dependencies.sh

echo "== build"
cmake --preset dev
cmake --build --preset dev

echo "== tests"
ctest --test-dir build/dev --output-on-failure -j "$(nproc)" "$@"

echo
echo "next: scripts/demo.sh quantizes the bundled model; build/dev/farthing --help lists the commands"
