#!/bin/bash
# The iSCSI target that the guests log in to: tgtd on this machine, with one disk, and two portals that lead to it. A guest
# reaches them at 10.0.2.100 and .101, through its user network.
#   target.sh up        a blank disk, both portals
#   target.sh down
#   target.sh cut N     portal N (0 or 1) answers no more, and whoever is connected by it is cut off; mend N
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/settings.sh
. "$here/settings.sh"
TARGET=iqn.2026-01.org.example:shared
PORT=$((LAB_PORT + 50))
export TGT_IPC_SOCKET=$RUN/tgtd.socket

admin() { timeout 60 "${TGTD%tgtd}tgtadm" --lld iscsi "$@"; }

# stop NAME: ends what was started under this name, with all that came of it.
stop() {
	local pid
	pid=$(cat "$RUN/$1.pid" 2>/dev/null) || return 0
	rm -f "$RUN/$1.pid"
	kill -KILL -- "-$pid" 2>/dev/null || true
}
start() { # NAME COMMAND…
	local name=$1
	shift
	setsid "$@" >>"$RUN/$name.log" 2>&1 </dev/null &
	echo $! >"$RUN/$name.pid"
}

mend() { start "portal$1" socat "UNIX-LISTEN:$RUN/portal$1,unlink-early,fork" "TCP:127.0.0.1:$PORT"; }
cut() {
	stop "portal$1"
	rm -f "$RUN/portal$1"
}

case ${1:-} in
up)
	"$0" down
	truncate -s 300M "$RUN/lun.img"
	start tgtd "$TGTD" -f --iscsi "portal=127.0.0.1:$PORT"
	for _ in $(seq 60); do
		! admin --op show --mode sys >/dev/null 2>&1 || break
		sleep 1
	done
	admin --op new --mode target --tid 1 -T $TARGET
	admin --op new --mode logicalunit --tid 1 --lun 1 -b "$RUN/lun.img"
	admin --op bind --mode target --tid 1 -I ALL
	mend 0
	mend 1
	;;
down)
	for one in portal0 portal1 tgtd; do stop $one; done
	rm -f "$RUN/lun.img" "$RUN"/portal[01] "$TGT_IPC_SOCKET"*
	;;
cut) cut "$2" ;;
mend) mend "$2" ;;
*) fail "usage: target.sh up | down | cut N | mend N" ;;
esac
