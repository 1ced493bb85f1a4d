#!/usr/bin/env bash
# Runs unit tests under AddressSanitizer and UndefinedBehaviorSanitizer.
#   scripts/sanitize.sh [TEST-PROGRAM...]    default: those of the folders that read files others made
# A build with sanitizers takes four times as long as one without, so continuous integration keeps to the default;
# `scripts/sanitize.sh all` takes every folder.
set -euo pipefail
cd "$(dirname "$0")/.."

programs=("$@")
[ ${#programs[@]} -gt 0 ] || programs=(base_test tensor_test checkpoint_test image_test)
[ "${programs[0]}" != all ] || programs=(base_test tensor_test checkpoint_test tokenizer_test image_test scheme_test kernels_test
  nn_test methods_test formats_test models_test plan_test report_test cli_test)

scripts/install_dependencies.sh
echo "== build with sanitizers"
cmake --preset asan
cmake --build --preset asan --target "${programs[@]}"
echo "== tests with sanitizers"
# The reference collections are for the optimised build; here they would only take time.
unset FARTHING_FIXTURES
for program in "${programs[@]}"; do
  "$(find build/asan -type f -name "$program")" --gtest_brief=1
done
