#!/bin/sh
# Takes each guard of tests/scenarios.md out of the programs and asserts that its test then fails.
# `make guards` runs it, `make guards GUARDS="08 21"` some of it. The programs are built from a copy of
# HEAD in a temporary folder; the tests are those of this folder, unchanged.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
CARGO=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-$top/target}/guards
# Nothing is debugged in there, and linking without is quicker.
CARGO_PROFILE_DEV_DEBUG=none
RUST_BACKTRACE=0
export RUST_BACKTRACE

work=$(mktemp -d "${TMPDIR:-/tmp}/orderly-guards.XXXXXXXX") || exit 1
tree=$work/tree
finish() {
	git -C "$top" worktree remove --force "$tree" 2>/dev/null
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The tests are built once, with every guard in place.
tests=$(cd "$top" && "$CARGO" test --locked -p orderly-tests --test scenarios --no-run 2>&1) || { echo "$tests" >&2; exit 1; }
tests=$(printf '%s\n' "$tests" | sed -n 's/.*Executable .*(\(.*\))$/\1/p')
case $tests in /*) ;; *) tests=$top/$tests ;; esac
git -C "$top" worktree add --quiet --detach "$tree" HEAD || exit 1
export CARGO_PROFILE_DEV_DEBUG

build() {
	(cd "$tree" && "$CARGO" build --quiet --locked --target-dir "$target" --bins -p habackup -p ha-release -p ha-takeover)
}

# try PATCH: applies it, runs its test without the guard, and says what came of it.
try() {
	test=$(sed -n 's/^Test: //p' "$1")
	unit=$(sed -n 's/^Unit: //p' "$1")
	git -C "$tree" checkout --quiet -- . || return 1
	if ! patch --quiet --no-backup-if-mismatch -F 3 -p 1 -d "$tree" <"$1" >"$work/said" 2>&1; then
		echo "does not apply"
		return 1
	fi
	if [ -n "$unit" ]; then
		(cd "$tree" && "$CARGO" test --quiet --locked --target-dir "$target" -p "$unit" --lib -- --exact "$test") >"$work/said" 2>&1
	elif build >"$work/said" 2>&1; then
		ORDERLY_BIN_DIR=$target/debug "$tests" --exact "$test" >"$work/said" 2>&1
	else
		echo "does not build"
		return 1
	fi
	if grep -q "^did not run: " "$work/said"; then
		echo "not run here: $(sed -n 's/^did not run: [^:]*: //p' "$work/said" | head -n 1)"
	elif grep -q "1 failed" "$work/said"; then
		echo "fails without its guard"
	elif grep -q "1 passed" "$work/said"; then
		echo "PASSES WITHOUT ITS GUARD"
		return 1
	else
		echo "did not run"
		return 1
	fi
}

wrong=0
build || exit 1
for patch in "$here"/*.patch; do
	number=$(basename "$patch")
	number=${number%%-*}
	case " ${GUARDS:-$number} " in *" $number "*) ;; *) continue ;; esac
	if came=$(try "$patch"); then :; else
		wrong=$((wrong + 1))
		tail -n 20 "$work/said" >&2
	fi
	printf '%-50s %s\n' "$(sed -n 's/^Scenario: //p' "$patch")" "$came"
done
[ "$wrong" -eq 0 ]
