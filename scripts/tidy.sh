#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy over the files given, or over all sources and tests (sources a dozen of a folder at a
# time, as they are compiled: that parses their headers once).
#   scripts/tidy.sh [FILE...]
set -euo pipefail
cd "$(dirname "$0")/.."

command -v clang-tidy >/dev/null || {
  echo "error: clang-tidy is not installed" >&2
  echo "hint:  apt-get install clang-tidy" >&2
  exit 1
}
# Build folders of their own: clang cannot read the headers that GCC precompiled.
files=("$@")
if [ ${#files[@]} -gt 0 ]; then
  build=build/tidy
  cmake --preset dev -B $build -DFARTHING_PRECOMPILE=OFF -DFARTHING_UNITY=OFF >/dev/null
else
  build=build/tidy-all
  cmake --preset dev -B $build -DFARTHING_PRECOMPILE=OFF >/dev/null
  mapfile -t files < <(sed -n 's/^ *"file": "\(.*\)"$/\1/p' $build/compile_commands.json)
fi
printf '%s\n' "${files[@]}" |
  xargs -P "$(nproc)" -n 1 clang-tidy -p $build --quiet --extra-arg=-Wno-unknown-warning-option
