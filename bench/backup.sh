#!/bin/sh
# habackup beside rsync, cp -a, tar | zstd, restic, borg and find -ls, in one run on one file system: the
# rows backup-same, backup-first and backup-mem. Needs root (a private mount namespace, a loop device)
# and a C compiler; of the peers it takes those there are (bench/needs.sh installs them). What habackup, cp and rsync copied is
# compared with what it is a copy of: names, bytes, owners, modes and times.
#   FILES=100000 LARGE=2048 MANY=1000000 ROUNDS=5 FIRST_ROUNDS=3 bench/backup.sh
# FILES small files; LARGE MiB in large ones; MANY files for backup-mem, 0 leaves it out; PEERS=no leaves
# restic and borg out. TMPDIR=/dev/shm keeps a slow disk out of it. Every round runs all contenders in turn; the median of the
# rounds counts (backup_table.py). Where others use the machine, look at the CPU seconds too.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
habackup=${BIN_DIR:-${CARGO_TARGET_DIR:-$here/target}/release}/habackup
case $habackup in /*) ;; *) habackup=$here/$habackup ;; esac
files=${FILES:-100000}
large=${LARGE:-2048}
many=${MANY:-1000000}
rounds=${ROUNDS:-5}
first_rounds=${FIRST_ROUNDS:-3}
peers=${PEERS:-yes}

has() { command -v "$1" >/dev/null 2>&1; }
# What measure.py calls LEFT_OUT: this machine cannot run it.
left_out() {
	echo "did not run: backup: $1"
	exit 77
}

if [ "${1-}" != inside ]; then
	for need in cc rsync mkfs.ext4 unshare zstd tar python3; do
		has "$need" || left_out "needs $need (bench/needs.sh)"
	done
	[ -x "$habackup" ] || left_out "$habackup does not exist; run: make all"
	[ "$(id -u)" -eq 0 ] || left_out "needs root"
	exec unshare -m --propagation private "$0" inside
fi

if [ "$peers" != yes ]; then has() { case $1 in restic | borg) return 1 ;; esac; command -v "$1" >/dev/null 2>&1; }; fi
BENCH_LOAD=${BENCH_LOAD:-$(cut -d' ' -f1 /proc/loadavg)}
export BENCH_LOAD
work=$(mktemp -d)
trap 'cd /; umount -R "$work/disk" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
mkdir "$work/disk" "$work/state" "$work/cache"
cc -O2 -o "$work/timed" "$here/bench/timed.c"
truncate -s 60G "$work/image"
mkfs.ext4 -q -N 8000000 "$work/image"
mount -o loop,noatime "$work/image" "$work/disk"
cd "$work/disk"
mkdir source shared asset peers
mount --bind shared asset

ORDERLY_HOST=bench1
ORDERLY_STATE_DIR=$work/state
RESTIC_PASSWORD=bench
RESTIC_CACHE_DIR=$work/cache
BORG_BASE_DIR=$work/cache
BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
export ORDERLY_HOST ORDERLY_STATE_DIR RESTIC_PASSWORD RESTIC_CACHE_DIR BORG_BASE_DIR
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK BORG_RELOCATED_REPO_ACCESS_IS_OK

# configure SOURCE STORE: what habackup copies, and the folder of its snapshots.
configure() {
	cat >"$work/ha.toml" <<END
[[host]]
name = "bench1"
[[host]]
name = "bench2"
[asset]
kind = "bind"
source = "$work/disk/shared"
[[asset.mount]]
at = "$work/disk/asset"
[backup]
directory = "$work/disk/asset/$2"
include = ["$work/disk/$1"]
keep = 100
max_age = "2h"
require_services = false
END
}

# make DIR COUNT: files of up to 4 KiB, a hundred a folder.
make() {
	awk -v dir="$1" -v count="$2" 'BEGIN {
		for (n = 0; n < count; n += 100) print dir "/" int(n / 10000) "/" int(n / 100)
	}' | xargs mkdir -p
	awk -v dir="$1" -v count="$2" 'BEGIN {
		text = sprintf("%4096s", ""); gsub(/ /, "x", text)
		for (n = 0; n < count; n++) {
			file = dir "/" int(n / 10000) "/" int(n / 100) "/file" n ".conf"
			printf "%s", substr(text, 1, n * 37 % 4096) > file
			close(file)
		}
	}'
}

# measure NAME COMMAND…: appends "name wall processor KiB"; what it wrote must be on the disk at its end.
measure() {
	name=$1
	shift
	sync -f .
	program=$(command -v "$1")
	shift
	"$work/timed" "$work/figures" "$program" "$@" >/dev/null 2>"$work/said"
	read -r wall cpu memory status <"$work/figures"
	[ "$status" -eq 0 ] || {
		echo "backup: $name failed: $(tail -n 3 "$work/said")" >&2
		exit 1
	}
	echo "$name $wall $cpu $memory" >>"$work/rows"
}

ours() { name=$1; shift; measure "$name" "$habackup" --config "$work/ha.toml" -q "$@"; }
# same WHO COPY SOURCE: ends the bench unless a copy is what it was made from.
same() {
	rsync -aHAXnci --delete "$3/" "$2/" >"$work/differs" 2>&1 || { cat "$work/differs" >&2; exit 1; }
	[ ! -s "$work/differs" ] || {
		echo "bench: wrong answer: $1 differs from what it copied: $(head -n 3 "$work/differs")" >&2
		exit 1
	}
}

then_sync() { name=$1; measure "$name" sh -c "$2 && sync -f ."; }

echo "backup: $files files and $large MiB"
make source "$files"
if [ "$large" -gt 0 ]; then
	for n in 1 2 3 4; do head -c "$((large / 4))M" /dev/urandom >source/large$n; done
fi
# Times within two seconds prove nothing, and are not what an hourly run finds.
sleep 3
find source -type f -exec cat {} + >/dev/null

round=1
while [ "$round" -le "$first_rounds" ]; do
	configure source "first$round"
	then_sync first.cp "cp -a source peers/cp"
	[ "$round" -gt 1 ] || same cp peers/cp source
	rm -rf peers/cp
	ours first.habackup
	[ "$round" -gt 1 ] || same habackup "asset/first$round/latest/tree$work/disk/source" source
	then_sync first.tar "tar -cf - source | zstd -q -T0 >peers/tar.zst"
	rm -f peers/tar.zst
	then_sync first.rsync "rsync -aHAX source peers/rsync0"
	[ "$round" -gt 1 ] || same rsync peers/rsync0/source source
	if has restic; then
		restic init -q -r peers/restic >/dev/null
		then_sync first.restic "restic -q -r peers/restic backup source"
	fi
	if has borg; then
		borg init -e none peers/borg >/dev/null 2>&1
		then_sync first.borg "borg create peers/borg::0 source"
	fi
	if [ "$round" -lt "$first_rounds" ]; then
		rm -rf "asset/first$round" peers/rsync0 peers/restic peers/borg "$work/cache"
		mkdir "$work/cache"
	fi
	round=$((round + 1))
done

round=1
while [ "$round" -le "$rounds" ]; do
	sleep 3
	measure same.find find source -ls
	ours same.habackup
	then_sync same.rsync "rsync -aHAX --link-dest=$work/disk/peers/rsync$((round - 1)) source peers/rsync$round"
	has restic && then_sync same.restic "restic -q -r peers/restic backup source"
	has borg && then_sync same.borg "borg create peers/borg::$round source"
	round=$((round + 1))
done
same habackup "asset/first$first_rounds/latest/tree$work/disk/source" source
rm -rf peers/* asset/first*

if [ "$many" -gt 0 ]; then
	echo "backup: $many files"
	rm -rf source
	mkdir many
	make many "$many"
	sleep 3
	configure many many
	ours mem.habackup
	same habackup "asset/many/latest/tree$work/disk/many" many
	ours mem.habackup-again
	ours mem.verify --verify
	ours mem.diff-live --diff live
	ours mem.restore --restore --dry-run
	then_sync mem.rsync "rsync -aHAX many peers/rsync0"
	then_sync mem.rsync-again "rsync -aHAX --link-dest=$work/disk/peers/rsync0 many peers/rsync1"
	rm -rf peers/*
	if has restic; then
		restic init -q -r peers/restic >/dev/null
		then_sync mem.restic "restic -q -r peers/restic backup many"
	fi
fi

python3 -B "$here/bench/backup_table.py" "$work/rows" "$files" "$large" "$many"
