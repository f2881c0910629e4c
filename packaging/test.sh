#!/bin/sh
# Runs all tests, whatever fails on the way, and ends with one line of what passed, failed and did not run; `make test`
# calls it. A scenario that misses something of the machine says "did not run: ..." and counts as that alone.
set -eu
CARGO=${CARGO:-cargo}
# Two threads a core: most tests wait, for daemons, deadlines and processes.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(getconf _NPROCESSORS_ONLN) * 2))}
export RUST_TEST_THREADS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{
	status=0
	"$CARGO" test --locked --workspace --no-fail-fast 2>&1 || status=$?
	echo "$status" >"$work/status"
} | tee "$work/log"

echo
# Once more, together: they are far apart above.
grep -e '^did not run: ' -e '^test .* FAILED$' "$work/log" || :
awk -v skipped="$(grep -c '^did not run: ' "$work/log")" '
	/^test result: / {
		for (i = 2; i <= NF; i++) {
			if ($i == "passed;") passed += $(i - 1)
			if ($i == "failed;") failed += $(i - 1)
		}
	}
	END { printf "tests: %d passed, %d failed, %d did not run\n", passed - skipped, failed, skipped }
' "$work/log"
exit "$(cat "$work/status")"
