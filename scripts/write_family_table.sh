#!/usr/bin/env bash
# Writes docs/families.md from the registry: scripts/write_family_table.sh build/release/farthing
set -euo pipefail
cd "$(dirname "$0")/.."
{
  echo "# Families"
  echo
  echo "Made by \`scripts/write_family_table.sh\` from \`src/models/registry.cc\`. Every family is backed by the golden case named in its row:"
  echo "logits and greedy ids that transformers computed (\`src/models/golden_test.cc\`)."
  echo "Families that are not here can be described in a file, see [declare.md](declare.md)."
  echo
  "$1" families
} >docs/families.md
