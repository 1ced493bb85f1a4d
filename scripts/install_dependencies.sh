#!/usr/bin/env bash
# Installs what building Farthing on Debian 12 takes. Does nothing when all of it is there.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config git         # the build
  nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libfmt-dev
  libpcre2-dev libutf8proc-dev                        # tokenizers
  libjpeg62-turbo-dev libpng-dev libwebp-dev          # pictures
  libssl-dev libxxhash-dev zlib1g-dev                 # hashes, compressed data sets
  libgtest-dev libgmock-dev libbenchmark-dev          # tests and benchmarks
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = 'install ok installed' ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "error: root is needed to install packages" >&2
    echo "hint:  run as root: apt-get install ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
