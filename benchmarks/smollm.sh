#!/usr/bin/env bash
# Quantizes SmolLM2-135M-Instruct in several ways and compares each with the original on 8 windows of 2048 tokens of wikitext-2:
# perplexity, KL divergence, share of positions with the same top token, bits per weight, seconds.
#   benchmarks/smollm.sh FOLDER MODEL [PROGRAM [ROW...]]
# FOLDER holds data/text/wikitext2-train-part.txt (calibration: samples of 512 tokens, spread evenly) and wikitext2-test-joined.txt,
# MODEL is what scripts/fetch_smollm.sh makes. ROW is the beginning of a variant's name; without any, all are measured.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?usage: benchmarks/smollm.sh FOLDER MODEL [PROGRAM [ROW...]]}
model=${2:?usage: benchmarks/smollm.sh FOLDER MODEL [PROGRAM [ROW...]]}
farthing=${3:-build/release/farthing}
rows=("${@:4}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

value() { grep -o "\"$1\":[-0-9.e+]*" | head -1 | cut -d: -f2; }
is_wanted() {
  ((${#rows[@]} == 0)) && return
  for row in "${rows[@]}"; do [[ $1 == "$row"* ]] && return; done
  return 1
}

printf '| %-42s | perplexity | mean KL | same top token | bits | seconds |\n' "variant"
printf '|--------------------------------------------|------------|---------|----------------|------|---------|\n'
row() {
  local name=$1 directory=$2 bits=$3 seconds=$4 facts
  facts=$("$farthing" eval "$directory" --base "$model" --perplexity "$folder/data/text/wikitext2-test-joined.txt" \
    --window 2048 --limit 8 --json --quiet)
  printf '| %-42s | %10.3f | %7.4f | %12.1f %% | %4.2f | %7.1f |\n' "$name" "$(value perplexity <<<"$facts")" \
    "$(value kl_mean <<<"$facts")" "$(bc <<<"100 * $(value top1_agreement <<<"$facts")")" "$bits" "$seconds"
}
# quantize NAME SAMPLES FLAGS...: what the scheme is llama.cpp's becomes one file.
quantize() {
  local name=$1 samples=$2 output=$work/out facts
  shift 2
  is_wanted "$name" || return 0
  [[ " $* " == *" --scheme Q"* ]] && output+=.gguf
  facts=$("$farthing" quantize "$model" -o "$output" --overwrite --no-resume --json --quiet \
    --calibration "$folder/data/text/wikitext2-train-part.txt" --sequence-length 512 --samples "$samples" "$@")
  row "$name" "$output" "$(value bits_per_weight <<<"$facts")" "$(value seconds <<<"$facts")"
}

quantize "RTN W4A16 g64" 1 --method rtn --group-size 64
quantize "RTN W4A16 g64 asymmetric" 1 --method rtn --group-size 64 --asymmetric
quantize "GPTQ W4A16 g64, 128 samples" 128 --method gptq --group-size 64
quantize "AWQ W4A16 g64 asymmetric, 8 samples" 8 --method awq --group-size 64 --asymmetric
quantize "AWQ, GPTAQ, refined: W4A16 g64 asymmetric, 8 samples" 8 --method awq+gptaq --refine 4 --group-size 64 --asymmetric
quantize "RTN W3A16 g64" 1 --method rtn --bits 3 --group-size 64
quantize "GPTQ W3A16 g64, 32 samples" 32 --method gptq --bits 3 --group-size 64
quantize "mixed W4A16 and W8A16 g64, 4.5 bits" 128 --group-size 64 --target-bits 4.5
quantize "mixed W4A16 and W8A16 g64, 5 bits" 128 --group-size 64 --target-bits 5
quantize "mixed W4A16 and W8A16 g64, 6 bits" 128 --group-size 64 --target-bits 6
quantize "W8A16 g64" 1 --scheme W8A16 --group-size 64
quantize "SmoothQuant 0.8 + GPTQ W8A8, 32 samples" 32 --method smoothquant+gptq --scheme W8A8
quantize "FP8_DYNAMIC" 1 --scheme FP8_DYNAMIC
quantize "NF4, blocks of 64" 1 --scheme NF4
quantize "Q4_K_M, 64 samples" 64 --scheme Q4_K_M
