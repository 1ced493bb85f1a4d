#!/usr/bin/env bash
# Writes docs/families.md and docs/schemes.md from the registries: scripts/write_tables.sh build/release/farthing
set -euo pipefail
cd "$(dirname "$0")/.."
farthing=$1

{
  echo "# Families"
  echo
  echo "Made by \`scripts/write_tables.sh\` from \`src/models/registry.cc\`. Every family is backed by the golden case named in its row:"
  echo "logits and greedy ids that transformers computed (\`src/models/golden_test.cc\`)."
  echo "Families that are not here can be described in a file, see [declare.md](declare.md)."
  echo
  "$farthing" families
} >docs/families.md

{
  echo "# Schemes, methods, formats, consumers"
  echo
  echo "Made by \`scripts/write_tables.sh\` from the registries: \`src/scheme/scheme.cc\`, \`src/formats/registry.cc\`,"
  echo "\`src/formats/gguf/mixture.cc\`, \`src/evaluate/consumer_profile.cc\`. \`tests/program/schemes_test.cc\` quantizes a model by every scheme"
  echo "and method here, writes every format and verifies it for every consumer, those that are not named included."
  echo
  echo "A format is what \`--format\` takes; who loads it is what \`verify --for\` says of shapes that fit all kernels. \`awq\` and \`smoothquant\`"
  echo "can stand before \`gptq\` (\`--method smoothquant+gptq\`)."
  echo
  "$farthing" schemes
} >docs/schemes.md
