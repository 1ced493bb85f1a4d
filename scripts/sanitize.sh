#!/usr/bin/env bash
# Runs unit tests under AddressSanitizer and UndefinedBehaviorSanitizer.
#   scripts/sanitize.sh [TEST-PROGRAM...]    default: those of every folder
set -euo pipefail
cd "$(dirname "$0")/.."

programs=("$@")
[ ${#programs[@]} -gt 0 ] || for folder in src/*/ apps/*/; do
  [ -z "$(find "$folder" -name '*_test.cc' -print -quit)" ] || programs+=("$(basename "$folder")_test")
done

scripts/install_dependencies.sh
echo "== build with sanitizers"
cmake --preset asan
cmake --build --preset asan --target "${programs[@]}"
echo "== tests with sanitizers"
# The reference collections are for the optimised build; here they would only take time.
unset FARTHING_FIXTURES
for program in "${programs[@]}"; do
  echo "$program"
  # How deep and how long a hostile template may go is set for programs without sanitizers, which take less stack and time.
  "$(find build/asan -type f -name "$program")" --gtest_brief=1 --gtest_filter=-JinjaHostile.*
done
