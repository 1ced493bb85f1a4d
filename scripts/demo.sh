#!/usr/bin/env bash
# From nothing to a 4-bit vision-language model: installs packages, builds, quantizes the bundled model with GPTQ on photos, compares it with
# the original, and asks it about a kitten.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_dependencies.sh

echo "== build"
cmake --preset release
cmake --build --preset release --target farthing
farthing=build/release/farthing
model=models/tiny-llava-21m
output=build/demo/tiny-llava-21m-W4A16

echo "== quantize"
mkdir -p build/demo
"$farthing" quantize "$model" -o "$output" --scheme W4A16 --method gptq --calibration builtin \
  --question "What animal is this?" --samples 35 --overwrite

echo "== before and after"
"$farthing" eval "$model" --perplexity data/text/wikitext2-test-part.txt --window 512
"$farthing" eval "$output" --base "$model" --perplexity data/text/wikitext2-test-part.txt --window 512

echo "== a photo of a kitten"
"$farthing" run "$output" --image data/images/kitten.jpg "What animal is this?"

echo
echo "next: $farthing chat $output"
echo "      $farthing quantize --help"
