#!/bin/bash
# Starts and stops the two guests.
#   guests.sh fresh          both from pristine roots, with blank shared disks
#   guests.sh start NAME…    from the disk it was stopped with, until it answers
#   guests.sh stop NAME…     an ordered power-off
#   guests.sh cut NAME…      pulls the plug: nothing is flushed, no service is stopped
#   guests.sh freeze NAME    stops it in its tracks while its clock runs on; thaw NAME goes on
#   guests.sh unplug NAME    takes it off the link between the two; plug NAME puts it back; unplug NAME n2, off the
#                            second link, which DRBD has for itself
#   guests.sh power          what a guest's power controller runs: reads "off NAME" or "status NAME" from its input
#   guests.sh ssh NAME LINE  runs a line as root
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/settings.sh
. "$here/settings.sh"

CPU=qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+rdrand,-svm
ACCEL=tcg,thread=multi,tb-size=512
if [ "$LAB_ACCEL" != tcg ]; then
	CPU=host
	ACCEL=$LAB_ACCEL
fi

# Each shared disk has its partition from the beginning: one that a guest makes later (zpool create
# on a whole disk) stays invisible to the other one until it reads the table again.
blank_disks() {
	local disk
	for disk in 0 1; do
		rm -f "$RUN/shared$disk.img"
		truncate -s 1G "$RUN/shared$disk.img"
		printf 'label: gpt\nstart=2048, type=6A898CC3-1DD2-11B2-99A6-080020736631\n' | sfdisk -q "$RUN/shared$disk.img"
	done
}

boot() {
	local guest=$1 n other disk arguments
	[ -z "$(process "$guest")" ] || return 0
	n=$(number "$guest")
	other=$((3 - n))
	mkdir -p "$RUN/$guest"
	[ -e "$RUN/$guest/root.qcow2" ] ||
		qemu-img create -q -f qcow2 -F raw -b "$LAB_DIR/base.img" "$RUN/$guest/root.qcow2"
	rm -f "$RUN/$guest/pid" "$RUN/$guest/monitor" "$RUN"/link*"$n"
	arguments=(-name "guest=$guest,process=lab-$guest" -daemonize -pidfile "$RUN/$guest/pid"
		-nodefaults -display none -machine pc -accel "$ACCEL" -cpu "$CPU" -smp 1 -m "$LAB_MEMORY"
		-serial "file:$RUN/$guest/console.log" -monitor "unix:$RUN/$guest/monitor,server=on,wait=off"
		-object rng-random,filename=/dev/urandom,id=rng -device virtio-rng-pci,rng=rng
		-drive "file=$RUN/$guest/root.qcow2,format=qcow2,if=none,id=root,cache=unsafe"
		-device virtio-blk-pci,drive=root,serial=labroot
		# restrict: a guest reaches nothing but the other guest, what switches the power of both, and the two portals
		# of target.sh.
		-netdev "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:$((LAB_PORT + n))-:22,guestfwd=tcp:10.0.2.99:623-cmd:env LAB_DIR=$LAB_DIR $here/guests.sh power,guestfwd=tcp:10.0.2.100:3260-cmd:socat - UNIX-CONNECT:$RUN/portal0,guestfwd=tcp:10.0.2.101:3260-cmd:socat - UNIX-CONNECT:$RUN/portal1"
		-device "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:0$n"
		-netdev "dgram,id=n1,local.type=unix,local.path=$RUN/link$n,remote.type=unix,remote.path=$RUN/link$other"
		-device "virtio-net-pci,netdev=n1,mac=52:54:00:00:01:0$n"
		-netdev "dgram,id=n2,local.type=unix,local.path=$RUN/link2-$n,remote.type=unix,remote.path=$RUN/link2-$other"
		-device "virtio-net-pci,netdev=n2,mac=52:54:00:00:02:0$n"
		-kernel "$LAB_DIR/kernel" -initrd "$LAB_DIR/initrd"
		-append "console=ttyS0 quiet loglevel=4 panic=5 net.ifnames=0 mitigations=off cryptomgr.notests random.trust_cpu=on lab.name=$guest lab.index=$n lab.hostid=00ec000$n")
	for disk in 0 1; do
		arguments+=(-drive "file=$RUN/shared$disk.img,format=raw,if=none,id=shared$disk,cache=writethrough,file.locking=off"
			-device "virtio-blk-pci,drive=shared$disk,serial=shared$disk,share-rw=on")
	done
	timeout 60 qemu-system-x86_64 "${arguments[@]}" || fail "$guest does not start"
}

await() {
	local guest=$1 begin=$SECONDS
	until on "$guest" "date -s @$(date +%s) >/dev/null" 2>/dev/null; do
		[ -n "$(process "$guest")" ] || fail "$guest died while it booted; see $RUN/$guest/console.log"
		[ $((SECONDS - begin)) -lt "$LAB_PATIENCE" ] || fail "$guest does not answer"
		sleep 1
	done
	tell "$guest is up after $((SECONDS - begin)) s"
}

end() {
	local guest=$1 pid
	pid=$(process "$guest")
	[ -n "$pid" ] || return 0
	kill -"$2" "$pid" 2>/dev/null || true
	# It has its disks until it is a zombie or gone; its command line goes before.
	while [ -e "/proc/$pid" ] && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null; do sleep 0.2; done
}

# Off is told only once the process is gone, and its disks with it.
power() {
	local order guest
	read -r order guest
	number "$guest" >/dev/null
	[ "$order" != off ] || end "$guest" KILL
	if [ -n "$(process "$guest")" ]; then echo "$guest: on"; else echo "$guest: off"; fi
}

monitor() { echo "$2" | timeout 60 socat -t2 - "UNIX-CONNECT:$RUN/$1/monitor" >/dev/null; }

verb=${1:-}
[ $# -ge 1 ] && shift
case $verb in
fresh)
	for file in base.img kernel initrd id_lab; do
		[ -s "$LAB_DIR/$file" ] || fail "$LAB_DIR/$file is not there: run build.sh first"
	done
	for guest in ec1 ec2; do end "$guest" KILL; done
	rm -rf "$RUN"
	mkdir -p "$RUN"
	blank_disks
	for guest in ec1 ec2; do boot "$guest"; done
	for guest in ec1 ec2; do await "$guest"; done
	;;
start)
	for guest; do boot "$guest"; done
	for guest; do await "$guest"; done
	;;
stop)
	for guest; do
		on "$guest" systemctl poweroff >/dev/null 2>&1 || true
		for _ in $(seq 120); do
			[ -n "$(process "$guest")" ] || break
			sleep 1
		done
		end "$guest" KILL
	done
	;;
cut) for guest; do end "$guest" KILL; done ;;
freeze) kill -STOP "$(process "$1")" ;;
thaw) kill -CONT "$(process "$1")" ;;
unplug) monitor "$1" "set_link ${2:-n1} off" ;;
plug) monitor "$1" "set_link ${2:-n1} on" ;;
power) power ;;
ssh) on "$@" ;;
*) fail "usage: guests.sh fresh | start | stop | cut | freeze | thaw | unplug | plug | power | ssh NAME…" ;;
esac
