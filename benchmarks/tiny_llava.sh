#!/usr/bin/env bash
# Quantizes the bundled vision-language model in several ways and compares each with the original on labelled pictures and a
# text: accuracy, KL divergence at the first token of the answer, perplexity, seconds.
#   benchmarks/tiny_llava.sh FOLDER [PROGRAM]
# FOLDER holds data/images/cifar10-train-512 (calibration: every eighth picture) and cifar10-test-600, and
# data/text/wikitext2-test-joined.txt. The question and the system message are those of the peers' figures.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?usage: benchmarks/tiny_llava.sh FOLDER [PROGRAM]}
farthing=${2:-build/release/farthing}
model=models/tiny-llava-21m
system="You are a helpful assistant."
question="What animal is this?"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/calibration"
ls "$folder"/data/images/cifar10-train-512/*.jpg | awk 'NR % 8 == 1' | head -64 | xargs -I{} ln -s {} "$work/calibration/"

value() { grep -o "\"$1\":[-0-9.e+]*" | head -1 | cut -d: -f2; }

printf '| %-34s | accuracy | first-token KL | perplexity | seconds | MiB |\n' "variant"
printf '|------------------------------------|----------|----------------|------------|---------|-----|\n'
row() {
  local name=$1 directory=$2 seconds=$3
  local pictures text
  pictures=$("$farthing" eval "$directory" --base "$model" --labelled-images "$folder/data/images/cifar10-test-600" \
    --system "$system" --question "$question" --json --quiet)
  text=$("$farthing" eval "$directory" --perplexity "$folder/data/text/wikitext2-test-joined.txt" --window 512 --limit 16 \
    --json --quiet)
  printf '| %-34s | %8.4f | %14.3g | %10.4f | %7s | %3d |\n' "$name" "$(value accuracy <<<"$pictures")" \
    "$(value first_token_kl_mean <<<"$pictures")" "$(value perplexity <<<"$text")" "$seconds" \
    "$(($(stat -Lc %s "$directory"/*.safetensors | paste -sd+ | bc) >> 20))"
}
quantize() {
  local name=$1
  shift
  local facts
  facts=$("$farthing" quantize "$model" -o "$work/out" --overwrite --calibration "$work/calibration" --samples 64 \
    --system "$system" --question "$question" --json --quiet "$@")
  row "$name" "$work/out" "$(printf '%.1f' "$(value seconds <<<"$facts")")"
}

row "original, bf16" "$model" "-"
quantize "RTN W4A16 g128" --scheme W4A16 --method rtn
quantize "GPTQ W4A16 g128" --scheme W4A16 --method gptq
quantize "GPTQ W4A16 g128, 10 refining passes" --scheme W4A16 --method gptq --refine 10
quantize "AWQ, GPTAQ, refined: asymmetric" --scheme W4A16_ASYM --method awq+gptaq --refine 4
quantize "GPTQ W4A16 g128, no actorder" --scheme W4A16 --method gptq --actorder none
quantize "GPTQ W3A16 g128" --scheme W4A16 --bits 3 --method gptq
quantize "mixed W4A16 and W8A16, 5 bits" --target-bits 5
quantize "W8A16 g128" --scheme W8A16
quantize "AWQ W4A16 g128" --scheme W4A16 --method awq
quantize "SmoothQuant 0.8 + GPTQ W8A8" --scheme W8A8 --method smoothquant+gptq
