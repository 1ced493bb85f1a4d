#!/usr/bin/env bash
# The rules of the house that a compiler does not know: folders include downwards only, third-party headers stay
# behind the file that wraps them, files stay small, ASCII and formatted. Prints every breach; exit code 1 if any.
set -euo pipefail
cd "$(dirname "$0")/.."

# A folder may include what stands on a lower line, and itself. Keep in step with src/CMakeLists.txt.
levels='
base
tensor
checkpoint tokenizer image audio
scheme kernels
nn methods formats
models
calibrate
generate plan
evaluate quantize report
cli server'

# header pattern, then the paths that may include it (extended regular expressions).
third_party='
CLI/            ^apps/cli/args\.cc$
yaml-cpp/       ^src/base/yaml\.cc$
pcre2\.h        ^src/(tokenizer|scheme)/
utf8proc\.h     ^src/tokenizer/
jpeglib\.h      ^src/image/
jerror\.h       ^src/image/
png\.h          ^src/image/
webp/           ^src/image/
zlib\.h         ^src/calibrate/
openssl/        ^src/base/sha256\.cc$
nlohmann/       ^(src/base/json\.h|cmake/)
httplib\.h      ^apps/server/
benchmark/      ^benchmarks/
g(test|mock)/   (_test\.cc$|/test_[a-z_]+\.(h|cc)$|^cmake/|^tests/)'

max_lines=600
failures=0
complain() {
  echo "$1"
  failures=$((failures + 1))
}

# Tracked and new files alike, so that a mistake shows before it is committed.
mapfile -t sources < <(git ls-files --cached --others --exclude-standard -- '*.cc' '*.h' '*.cu' '*.cuh' |
  grep -v '^tests/data/' | while read -r file; do [ -e "$file" ] && echo "$file"; done)

breaches=$(awk -v levels="$levels" -v third_party="$third_party" '
  BEGIN {
    count = split(levels, lines, "\n")
    for (i = 1; i <= count; i++) {
      names = split(lines[i], folders, " ")
      for (j = 1; j <= names; j++) level[folders[j]] = i
    }
    rules = split(third_party, lines, "\n")
    for (i = 1; i <= rules; i++) {
      split(lines[i], words, " +")
      header[i] = words[1]
      allowed[i] = words[2]
    }
  }
  FNR == 1 {
    split(FILENAME, parts, "/")
    folder = parts[1] == "src" || parts[1] == "apps" ? parts[2] : ""
  }
  /^#include "/ && folder != "" {
    split($2, parts, "[\"/]")
    other = parts[2]
    if ((other in level) && other != folder && level[other] >= level[folder])
      print FILENAME ":" FNR ": " folder "/ must not include " other "/"
  }
  /^#include </ {
    name = $2
    gsub(/[<>]/, "", name)
    for (i = 1; i <= rules; i++)
      if (header[i] != "" && name ~ "^" header[i] && FILENAME !~ allowed[i])
        print FILENAME ":" FNR ": <" name "> belongs behind the file that wraps it"
  }
  FNR == max + 1 { print FILENAME ": more than " max " lines" }
' max="$max_lines" "${sources[@]}")
[ -z "$breaches" ] || complain "$breaches"

not_ascii=$(LC_ALL=C grep -nP '[^\x00-\x7F]' "${sources[@]}" | cut -c 1-120 || true)
[ -z "$not_ascii" ] || complain "$not_ascii
these lines are not ASCII"

if command -v clang-format >/dev/null; then
  unformatted=$(printf '%s\n' "${sources[@]}" | xargs -r clang-format --dry-run 2>&1 |
    sed -n 's/^\([^: ]*\):[0-9]*:.*\[-Wclang-format-violations\]$/\1/p' | sort -u)
  [ -z "$unformatted" ] || complain "$unformatted
these files are not formatted: clang-format -i FILE"
fi

[ "$failures" -eq 0 ] || exit 1
echo "layers, headers, sizes and format are in order (${#sources[@]} files)"
