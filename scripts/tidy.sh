#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy over the files given, or over all sources.
#   scripts/tidy.sh [FILE...]
set -euo pipefail
cd "$(dirname "$0")/.."

command -v clang-tidy >/dev/null || {
  echo "error: clang-tidy is not installed" >&2
  echo "hint:  apt-get install clang-tidy" >&2
  exit 1
}
# A build folder of its own: clang cannot read the headers that GCC precompiled.
cmake --preset dev -B build/tidy -DFARTHING_PRECOMPILE=OFF >/dev/null
files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(git ls-files 'src/*.cc' 'apps/*.cc' | grep -v '_test\.cc$')
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p build/tidy --quiet --extra-arg=-Wno-unknown-warning-option
