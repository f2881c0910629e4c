#!/bin/sh
# Fuzzes every input format, or those named, for so many seconds each:
#     fuzz/run.sh 600 genders sequence
# Needs a C++ compiler and the crate libfuzzer-sys. Any Rust will do, not only a nightly one with cargo-fuzz: the flags below
# are those by which cargo-fuzz has the coverage counted. Ends with 1 when something was found; the input is then in
# fuzz/artifacts, and when the fault is mended it becomes a seed in fuzz/src/formats.rs, which every `make test` replays.
# fuzz/corpus keeps what was learned, and beside it the words of the JSON formats (FORMAT.dict).
set -eu
cd "$(dirname "$0")"
seconds=${1:-600}
[ $# -eq 0 ] || shift
host=$(rustc -vV | sed -n 's/^host: //p')
all=$(cargo run --quiet --locked -p orderly-fuzz --example seeds -- corpus)
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1" \
	cargo build --quiet --locked --release --manifest-path targets/Cargo.toml --target "$host" --target-dir targets/target
if [ $# -eq 0 ]; then
	# shellcheck disable=SC2086 # names of formats hold no blanks
	set -- $all
fi
mkdir -p artifacts
found=0
for format; do
	log=artifacts/$format.log
	words=
	[ ! -e "corpus/$format.dict" ] || words=-dict=corpus/$format.dict
	# shellcheck disable=SC2086 # no words are no argument
	if ORDERLY_FORMAT=$format "targets/target/$host/release/fuzz" -max_total_time="$seconds" -timeout=120 $words \
		-rss_limit_mb=4096 -max_len=4096 -artifact_prefix="artifacts/$format-" "corpus/$format" >"$log" 2>&1; then
		echo "fuzz: $format: $(tail -n 1 "$log")"
	else
		echo "fuzz: $format: something was found; see fuzz/$log" >&2
		grep -a -A 3 'panicked at\|ERROR: libFuzzer' "$log" | head -n 8 >&2 || :
		found=1
	fi
done
exit "$found"
