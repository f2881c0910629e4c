#!/bin/sh
# habackup beside rsync, cp -a and find -ls, in one run on one file system: the rows backup-same,
# backup-first and backup-mem. Needs root (a private mount namespace, a loop device) and GNU time.
#   FILES=100000 LARGE=256 MANY=0 bench/backup.sh
# FILES small files; LARGE MiB in large ones; MANY > 0: how many files backup-mem takes.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
habackup=${BIN_DIR:-${CARGO_TARGET_DIR:-$here/target}/release}/habackup
files=${FILES:-100000}
large=${LARGE:-256}
many=${MANY:-0}
results=$here/bench/results

if [ "${1-}" != inside ]; then
	for program in rsync mkfs.ext4 unshare /usr/bin/time; do
		command -v "$program" >/dev/null || { echo "did not run: backup: needs $program"; exit 0; }
	done
	[ "$(id -u)" -eq 0 ] || { echo "did not run: backup: needs root"; exit 0; }
	exec unshare -m --propagation private "$0" inside
fi

work=$(mktemp -d)
trap 'cd /; umount -R "$work/disk" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/disk" "$work/state"
truncate -s 60G "$work/image"
mkfs.ext4 -q -N 6000000 "$work/image"
mount -o loop,noatime "$work/image" "$work/disk"
cd "$work/disk"
mkdir source shared asset peers
mount --bind shared asset

# One configuration for all rows; the source is replaced for backup-mem.
cat >"$work/ha.toml" <<EOF
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
directory = "$work/disk/asset/habackup"
include = ["$work/disk/source"]
keep = 100
max_age = "2h"
require_services = false
EOF
ORDERLY_HOST=bench1
ORDERLY_STATE_DIR=$work/state
export ORDERLY_HOST ORDERLY_STATE_DIR

# make DIR COUNT: files of up to 4 KiB, a hundred a folder.
make() {
	awk -v dir="$1" -v count="$2" 'BEGIN {
		text = sprintf("%4096s", ""); gsub(/ /, "x", text)
		for (n = 0; n < count; n++) {
			if (n % 100 == 0) { folder = dir "/" int(n / 10000) "/" int(n / 100); system("mkdir -p " folder) }
			file = folder "/file" n ".conf"
			printf "%s", substr(text, 1, n * 37 % 4096) > file
			close(file)
		}
	}'
}

# measure NAME COMMAND…: appends "name seconds KiB".
measure() {
	name=$1
	shift
	sync -f .
	/usr/bin/time -o "$work/time" -f '%e %M' "$@" >/dev/null
	echo "$name $(cat "$work/time")" >>"$work/rows"
}

take() { measure "$1" "$habackup" --config "$work/ha.toml" -q; }

make source "$files"
if [ "$large" -gt 0 ]; then
	for n in 1 2 3 4; do head -c "$((large / 4))M" /dev/urandom >source/large$n; done
fi
sleep 3
measure warm find source -type f -exec cat {} +
measure first.cp sh -c 'cp -a source peers/cp && sync -f .'
measure first.rsync sh -c 'rsync -aHAX source peers/r0 && sync -f .'
take first.habackup
for round in 1 2 3; do
	sleep 3
	measure same.find find source -ls
	measure same.rsync sh -c "rsync -aHAX --link-dest=$work/disk/peers/r$((round - 1)) source peers/r$round && sync -f ."
	take same.habackup
done
if [ "$many" -gt 0 ]; then
	sed -i "s#/disk/source\"#/disk/many\"#; s#asset/habackup#asset/many#" "$work/ha.toml"
	mkdir many
	make many "$many"
	sleep 3
	take mem.habackup
	sleep 3
	take mem.habackup
	measure mem.verify "$habackup" --config "$work/ha.toml" -q --verify
	measure mem.rsync rsync -aHAX many peers/m0
fi

mkdir -p "$results"
awk -v files="$files" -v large="$large" '
	{ if (!($1 in time) || $2 < time[$1]) time[$1] = $2; if ($3 > memory[$1]) memory[$1] = $3 }
	function row(id, a, b, goal) {
		if (!(a in time) || !(b in time)) return
		ratio = time[b] > 0 ? time[a] / time[b] : 0
		printf "%-13s %-15s %8.2f s  %-12s %8.2f s  ratio %5.2f  goal %s\n", id, a, time[a], b, time[b], ratio, goal > "/dev/stderr"
		printf "%s{\"id\":\"%s\",\"ours\":%s,\"peer\":\"%s\",\"theirs\":%s,\"ratio\":%.3f,\"goal\":\"%s\"}", comma, id, time[a], b, time[b], ratio, goal
		comma = ","
	}
	END {
		printf "{\"format\":\"orderly-bench/1\",\"files\":%d,\"large_mib\":%d,\"rows\":[", files, large
		row("backup-same", "same.habackup", "same.rsync", "<= 0.25")
		row("backup-same", "same.habackup", "same.find", "<= 2")
		row("backup-first", "first.habackup", "first.cp", "<= 1.2")
		row("backup-first", "first.habackup", "first.rsync", "")
		printf "],\"peak_kib\":{"
		comma = ""
		for (name in memory) if (name ~ /habackup|verify|rsync/) {
			printf "%s\"%s\":%d", comma, name, memory[name]
			comma = ","
			printf "backup-mem    %-15s %8.1f MiB\n", name, memory[name] / 1024 > "/dev/stderr"
		}
		print "}}"
	}' "$work/rows" >"$results/backup.json"
