#!/usr/bin/env bash
# Runs suites of tests one after the other, and prints at the end how long each took, how many of its tests passed and
# failed, and what was skipped. A suite is a target of the Makefile. A failing suite does not stop the others.
# usage: test.sh SUITE…
set -uo pipefail
cd "${BASH_SOURCE[0]%/*}/.."
LOGS=$(mktemp -d "${TMPDIR:-/tmp}/unbundled-suites.XXXXXX")
trap 'rm -rf "$LOGS"' EXIT
MAKE=${MAKE:-make}

# Prints the sum of a count, such as `passed`, over the summaries of cargo nextest or cargo test in a log.
count() {
  sed 's/\x1b\[[0-9;]*m//g' "$1" | awk -v what="$2" '
    /^ *Summary \[/ || /^test result: / {
      for (i = 2; i <= NF; i++) if ($i ~ "^" what "[,;]?$") sum += $(i - 1)
    }
    END { print sum + 0 }'
}

passed=0 failed=0 broken=0 began=$SECONDS
rows=()
for suite in "$@"; do
  printf '\n── %s\n' "$suite"
  started=$SECONDS log=$LOGS/$suite result=ok
  "$MAKE" --no-print-directory "$suite" 2>&1 | tee "$log" || result=FAILED
  [[ $result == ok ]] || broken=$((broken + 1))
  suite_passed=$(count "$log" passed) suite_failed=$(count "$log" failed)
  passed=$((passed + suite_passed)) failed=$((failed + suite_failed))
  skipped=$(grep -h '^skipped: ' "$log" | cut -d' ' -f2- | paste -sd';')
  rows+=("$(printf '%-14s %6d %7d %7d  %-7s %s' \
    "$suite" $((SECONDS - started)) "$suite_passed" "$suite_failed" "$result" "${skipped:+skipped: $skipped}")")
done

printf '\n%-14s %6s %7s %7s  %s\n' suite seconds passed failed result
printf '%s\n' "${rows[@]}"
printf '%d passed, %d failed, in %d s' "$passed" "$failed" $((SECONDS - began))
((broken == 0)) || printf ': %d of %d suites failed' "$broken" "$#"
printf '\n'
((broken == 0))
