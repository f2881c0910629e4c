#!/bin/sh
# habackup beside rsync, cp -a, tar | zstd, restic, borg and find -ls, in one run on one file system: the
# rows backup-same, backup-first and backup-mem. Needs root (a private mount namespace, a loop device)
# and GNU time; of the peers it takes those there are, and installs what apt-get has.
#   FILES=100000 LARGE=2048 MANY=1000000 ROUNDS=5 FIRST_ROUNDS=3 bench/backup.sh
# FILES small files; LARGE MiB in large ones; MANY files for backup-mem, 0 leaves it out; PEERS=no leaves
# restic and borg out. TMPDIR=/dev/shm keeps a slow disk out of it. Every round runs all contenders in turn; the median of the rounds counts. Where
# others use the machine, look at the processor seconds too.
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
results=$here/bench/results

has() { command -v "$1" >/dev/null 2>&1; }

# install PROGRAM PACKAGE: where it is not there and apt-get is.
install() {
	has "$1" || ! has apt-get || {
		echo "backup: installing $2"
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$2" >/dev/null 2>&1 || true
	}
	has "$1"
}

if [ "${1-}" != inside ]; then
	for need in rsync:rsync mkfs.ext4:e2fsprogs unshare:util-linux /usr/bin/time:time zstd:zstd tar:tar; do
		install "${need%:*}" "${need#*:}" || { echo "did not run: backup: needs ${need%:*}"; exit 0; }
	done
	[ -x "$habackup" ] || { echo "did not run: backup: $habackup is not there; run: make all"; exit 0; }
	[ "$(id -u)" -eq 0 ] || { echo "did not run: backup: needs root"; exit 0; }
	if [ "$peers" = yes ]; then
		install restic restic || echo "did not run: restic cannot be installed"
		install borg borgbackup || echo "did not run: borg cannot be installed"
	fi
	exec unshare -m --propagation private "$0" inside
fi

if [ "$peers" != yes ]; then has() { case $1 in restic | borg) return 1 ;; esac; command -v "$1" >/dev/null 2>&1; }; fi
echo "backup: $(uname -sr), $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"
for program in rsync zstd restic borg; do
	if has "$program"; then
		option=--version
		[ "$program" = restic ] && option=version
		echo "backup: $("$program" "$option" 2>&1 | head -n 1)"
	else
		echo "backup: without $program"
	fi
done

work=$(mktemp -d)
trap 'cd /; umount -R "$work/disk" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
mkdir "$work/disk" "$work/state" "$work/cache"
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
	/usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@" >/dev/null 2>"$work/said" || {
		echo "backup: $name failed: $(tail -n 3 "$work/said")" >&2
		exit 1
	}
	read -r wall user system memory <"$work/time"
	echo "$name $wall $(echo "$user $system" | awk '{ print $1 + $2 }') $memory" >>"$work/rows"
}

ours() { name=$1; shift; measure "$name" "$habackup" --config "$work/ha.toml" -q "$@"; }
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
	rm -rf peers/cp
	ours first.habackup
	then_sync first.tar "tar -cf - source | zstd -q -T0 >peers/tar.zst"
	rm -f peers/tar.zst
	then_sync first.rsync "rsync -aHAX source peers/rsync0"
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
rm -rf peers/* asset/first*

if [ "$many" -gt 0 ]; then
	echo "backup: $many files"
	rm -rf source
	mkdir many
	make many "$many"
	sleep 3
	configure many many
	ours mem.habackup
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

mkdir -p "$results"
sort -k1,1 -k2,2n "$work/rows" | awk -v files="$files" -v large="$large" -v many="$many" '
	# The median of wall seconds, with the processor seconds of that run; the largest memory.
	{ count[$1]++; wall[$1, count[$1]] = $2; cpu[$1, count[$1]] = $3; if ($4 > memory[$1]) memory[$1] = $4 }
	function middle(name) { return int((count[name] + 1) / 2) }
	function row(id, a, b, goal,    ratio, used) {
		if (!(a in count) || !(b in count)) return
		ratio = wall[b, middle(b)] > 0 ? wall[a, middle(a)] / wall[b, middle(b)] : 0
		used = cpu[b, middle(b)] > 0 ? cpu[a, middle(a)] / cpu[b, middle(b)] : 0
		printf "%-13s %-14s %8.2f s (%7.2f s cpu)  %-12s %8.2f s (%7.2f s cpu)  ratio %5.2f (cpu %5.2f)  %s\n", id, \
			a, wall[a, middle(a)], cpu[a, middle(a)], b, wall[b, middle(b)], cpu[b, middle(b)], ratio, used, goal > "/dev/stderr"
		printf "%s\n{\"id\":\"%s\",\"program\":\"%s\",\"peer\":\"%s\",\"wall_ratio\":%.3f,\"cpu_ratio\":%.3f,\"goal\":\"%s\"}", \
			comma, id, a, b, ratio, used, goal
		comma = ","
	}
	END {
		printf "{\"format\":\"orderly-bench/1\",\"name\":\"backup\",\"files\":%d,\"large_mib\":%d,\"many\":%d,\"rows\":[", files, large, many
		row("backup-same", "same.habackup", "same.rsync", "goal <= 0.25")
		row("backup-same", "same.habackup", "same.find", "goal <= 2")
		row("backup-same", "same.habackup", "same.restic", "")
		row("backup-same", "same.habackup", "same.borg", "")
		row("backup-first", "first.habackup", "first.cp", "goal <= 1.2")
		row("backup-first", "first.habackup", "first.rsync", "")
		row("backup-first", "first.habackup", "first.tar", "")
		row("backup-first", "first.habackup", "first.restic", "")
		row("backup-first", "first.habackup", "first.borg", "")
		row("backup-mem", "mem.habackup", "mem.rsync", "")
		row("backup-mem", "mem.habackup-again", "mem.rsync-again", "")
		printf "],\"peak_kib\":{"
		comma = ""
		for (name in memory) if (name ~ /^mem/) names[++total] = name
		for (one = 1; one <= total; one++) for (other = one + 1; other <= total; other++) if (names[other] < names[one]) {
			held = names[one]; names[one] = names[other]; names[other] = held
		}
		for (one = 1; one <= total; one++) {
			name = names[one]
			printf "%s\"%s\":%d", comma, name, memory[name]
			comma = ","
			goal = name ~ /rsync|restic/ ? "" : "goal < 200"
			printf "backup-mem    %-18s %8.1f MiB at most  %8.2f s  %s\n", name, memory[name] / 1024, wall[name, middle(name)], goal > "/dev/stderr"
		}
		print "}}"
	}' >"$results/backup.json"
echo "backup: written: bench/results/backup.json"
