# What the scripts of the lab share: where it lies, how a guest is reached. Sourced, not run.
# shellcheck shell=bash
set -euo pipefail

LAB_DIR=${LAB_DIR:-$HOME/.cache/orderly-lab}
LAB_ACCEL=${LAB_ACCEL:-tcg}     # kvm where Debian's kernel boots under it
LAB_MEMORY=${LAB_MEMORY:-768}   # MiB a guest
LAB_PATIENCE=${LAB_PATIENCE:-600} # seconds for anything in a guest before it counts as hung
LAB_PORT=${LAB_PORT:-2210}      # ec1 answers ssh on the next port, ec2 on the one after
RUN=$LAB_DIR/run
KEY=$LAB_DIR/id_lab
TGTD=$LAB_DIR/target/usr/sbin/tgtd

fail() {
	printf 'lab: %s\n' "$*" >&2
	exit 1
}
tell() { printf '%(%H:%M:%S)T %s\n' -1 "$*"; }

# The number of a guest, which is in its port, its address and its hostid.
number() {
	case $1 in
	ec1) echo 1 ;;
	ec2) echo 2 ;;
	*) fail "the guests are ec1 and ec2, not $1" ;;
	esac
}

# The process of a running guest; nothing when it is down.
process() {
	local pid
	pid=$(cat "$RUN/$1/pid" 2>/dev/null) || return 0
	if { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q "guest=$1,.*$RUN/$1/"; then echo "$pid"; fi
}

SSH=(-i "$KEY" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR
	-o BatchMode=yes -o IdentitiesOnly=yes -o ConnectTimeout=20
	-o ServerAliveInterval=15 -o ServerAliveCountMax=8)

# on GUEST LINE…: runs a shell line as root in a guest.
on() {
	local guest=$1
	shift
	timeout --foreground "$LAB_PATIENCE" \
		ssh "${SSH[@]}" -p $((LAB_PORT + $(number "$guest"))) root@127.0.0.1 "$@"
}

# push GUEST FOLDER FILE…: copies files into a folder of a guest.
push() {
	local guest=$1 folder=$2
	shift 2
	timeout "$LAB_PATIENCE" scp -q -p "${SSH[@]}" -P $((LAB_PORT + $(number "$guest"))) -- "$@" "root@127.0.0.1:$folder/"
}
