#!/usr/bin/env bash
# Checks the rules of the house that a compiler does not: includes go downwards only, third-party headers stay behind their doors, files stay
# short enough to read, sources are ASCII.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0
fail() { echo "$1" >&2; failures=$((failures + 1)); }

# Folder and level. A folder includes itself and lower levels; folders on one level do not see each other.
declare -A level=(
  [base]=0 [tensor]=1 [checkpoint]=2 [tokenizer]=2 [image]=2 [scheme]=3 [kernels]=3
  [nn]=4 [methods]=4 [formats]=4 [models]=5 [calibrate]=6 [generate]=7 [plan]=7 [evaluate]=8 [quantize]=8 [report]=8 [cli]=9
)

sources=$(git ls-files --cached --others --exclude-standard -- 'src/*.h' 'src/*.cc' 'apps/*.h' 'apps/*.cc')
while IFS=: read -r file _ line; do
  case $file in
    src/*) from=$(echo "$file" | cut -d/ -f2) ;;
    apps/*) from=$(echo "$file" | cut -d/ -f2) ;;
  esac
  to=$(echo "$line" | sed -n 's/.*#include "\([a-z_]*\)\/.*/\1/p')
  [ -n "$to" ] && [ -n "${level[$to]:-}" ] || continue
  [ "$from" = "$to" ] && continue
  if [ "${level[$to]}" -ge "${level[$from]}" ]; then fail "$file: includes \"$to/...\", which is not below $from"; fi
done < <(grep -nE '#include "[a-z_]+/' $sources)

# Each library has one door: the files that may include it.
check_door() {
  local pattern=$1 allowed=$2
  { grep -lE "#include <$pattern" $sources || true; } | { grep -vE "$allowed" || true; } | sed "s#\$#: includes <$pattern...>, which only $allowed may#"
}
doors=$(
  check_door 'nlohmann' '^src/base/json\.h$'
  check_door 'yaml-cpp' '^src/plan/recipe'
  check_door 'CLI/' '^apps/cli/args'
  check_door 'pcre2' '^src/(tokenizer/regex|scheme/target)'
  check_door 'utf8proc' '^src/tokenizer/(unicode|jinja/text)'
  check_door '(jpeglib|png\.h|webp/)' '^src/image/'
  check_door 'openssl' '^src/base/sha256'
)
[ -z "$doors" ] || fail "$doors"

long=$(wc -l $sources | awk '$2 != "total" && $1 > 600 {print $2 ": " $1 " lines; a file covers one concept"}')
[ -z "$long" ] || fail "$long"

foreign=$(LC_ALL=C grep -lP '[^\x00-\x7F]' $sources | grep -v '_test\.cc$' || true)
[ -z "$foreign" ] || fail "not ASCII: $foreign"

prints=$(grep -nE '\b(std::cout|std::cerr|printf\(|abort\(|std::exit|::exit\()' $(echo "$sources" | grep '^src/' | grep -v '_test\.cc$') || true)
[ -z "$prints" ] || fail "the library prints, aborts or exits: $prints"

if [ "$failures" -gt 0 ]; then exit 1; fi
echo "house rules hold for $(echo "$sources" | wc -l) files"
