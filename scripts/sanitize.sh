#!/usr/bin/env bash
# Runs the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_dependencies.sh
echo "== build with sanitizers"
cmake --preset asan
cmake --build --preset asan
echo "== tests with sanitizers"
# The reference collections and the tests of the whole program are for the optimised build; here they would only take
# time: the code is the same.
env -u FARTHING_FIXTURES ctest --test-dir build/asan --output-on-failure -j "$(nproc)" --label-exclude program
