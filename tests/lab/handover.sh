#!/bin/bash
# Hands a real pool over between the two guests, with real NFS and systemd, and pulls plugs meanwhile.
#   handover.sh [SCENARIO…]     all of them without a name; BIN_DIR holds the programs
# Each scenario begins with ec1 holding the pool and ends with the data compared. What the programs
# printed is in LAB_DIR/run/log. Ends with 1 when anything was not as it must be.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/settings.sh
. "$here/settings.sh"
BIN_DIR=${BIN_DIR:?"names the folder of the built programs"}
DISKS=/dev/disk/by-id/virtio-shared
SCENARIOS="round_trip busy stray_bind other_exports alive_peer lost_power cut_release cut_takeover cut_forced hung multihost_off"
LOG=$RUN/log
scenario=setup

guests() { "$here/guests.sh" "$@"; }

# want STATUS GUEST LINE: the line must end with this status; what it printed is in $said.
want() {
	local status=$1 guest=$2 got=0
	shift 2
	printf '\n# %s $ %s\n' "$guest" "$*" >>"$LOG/$scenario"
	said=$(on "$guest" "$@" 2>&1) || got=$?
	printf '%s\n# exit status %s\n' "$said" "$got" >>"$LOG/$scenario"
	[ "$got" = "$status" ] || fail "$scenario: $guest: $*: exit status $got, not $status:
$said"
}
says() { grep -qF -- "$1" <<<"$said" || fail "$scenario: \"$1\" was not said:
$said"; }
# One after the other on both hosts, as people type it.
pipe() {
	want 0 "$1" "set -o pipefail; ha-release --json -q | ssh $2 ha-takeover --record -"
}

other() { if [ "$1" = ec1 ]; then echo ec2; else echo ec1; fi; }

configuration() {
	cat <<'TOML'
[[host]]
name = "ec1"
address = "192.168.77.1"
[[host]]
name = "ec2"
address = "192.168.77.2"
[asset]
kind = "zfs"
pool = "tank"
timeout = "5m"
[[asset.mount]]
volume = "tank/xvm"
at = "/srv/xvm"
[[asset.mount]]
at = "/srv/data"
[[service]]
name = "writer"
unit = "writer.service"
[[loopback]]
source = "/srv/xvm/opt"
at = "/opt/lab"
[[share]]
path = "/srv/xvm/share"
clients = ["192.168.77.0/24"]
options = "rw,no_root_squash"
fsid = "7"
[[address]]
cidr = "192.168.77.100/24"
device = "eth1"
[backup]
directory = "/srv/xvm/habackup"
include = ["/etc/lab"]
TOML
}

# A service that writes for as long as it runs: each line on disk before the next.
unit() {
	cat <<'UNIT'
[Service]
ExecStart=/bin/sh -c 'while :; do date +%%s >>/srv/xvm/written; sync /srv/xvm/written; sleep 1; done'
UNIT
}

install_programs() {
	local guest
	configuration >"$RUN/ha.toml"
	unit >"$RUN/writer.service"
	for guest in ec1 ec2; do
		on "$guest" "mkdir -p /etc/orderly /etc/lab /srv/xvm /srv/data /srv/other /opt/lab && echo of $guest >/etc/lab/state"
		push "$guest" /usr/local/sbin "$BIN_DIR"/habackup "$BIN_DIR"/ha-release "$BIN_DIR"/ha-takeover
		push "$guest" /etc/orderly "$RUN/ha.toml"
		push "$guest" /etc/systemd/system "$RUN/writer.service"
		on "$guest" "chmod 600 /etc/orderly/ha.toml; systemctl daemon-reload; exportfs -o rw,fsid=9 '*:/srv/other'; sync"
	done
}

# Begins again: ec1 holds a new pool with everything on it; nobody remembers anything.
begin() {
	local multihost=$1 guest
	for guest in ec1 ec2; do
		on "$guest" "systemctl stop writer; umount /opt/lab; exportfs -u 192.168.77.0/24:/srv/xvm/share; exportfs -f
			ip address del 192.168.77.100/24 dev eth1; rm -rf /var/lib/orderly /tmp/hangs
			zpool destroy -f tank; true" >>"$LOG/$scenario" 2>&1
	done
	on ec1 "set -e
		for disk in ${DISKS}0-part1 ${DISKS}1-part1; do zpool labelclear -f \$disk 2>/dev/null || true; done
		zpool create -f -o multihost=$multihost -o cachefile=none -O mountpoint=none tank mirror ${DISKS}0-part1 ${DISKS}1-part1
		zfs create -o mountpoint=legacy tank/xvm
		zfs create -o mountpoint=/srv/data tank/data
		zfs create tank/data/inner
		mount -t zfs tank/xvm /srv/xvm
		mkdir /srv/xvm/opt /srv/xvm/share /srv/xvm/habackup
		chmod 700 /srv/xvm/habackup
		head -c 4000000 /dev/urandom >/srv/xvm/share/bytes
		head -c 1000000 /dev/urandom >/srv/data/inner/bytes
		sha256sum /srv/xvm/share/bytes /srv/data/inner/bytes >/srv/xvm/sums
		ha-takeover
		exportfs -o rw,fsid=9 '*:/srv/other'
		sync" >>"$LOG/$scenario" 2>&1 || fail "$scenario: making the pool failed; see $LOG/$scenario"
	on ec2 "exportfs -o rw,fsid=9 '*:/srv/other'"
}

# Everything is on this host, whole, and nothing of it on the other one, if that one is up.
whole_on() {
	local guest=$1 peer
	peer=$(other "$guest")
	want 0 "$guest" "sha256sum -c /srv/xvm/sums && systemctl is-active writer && mountpoint /opt/lab && mountpoint /srv/data/inner &&
		exportfs -s && ip -o address show dev eth1 && zpool get -H -o value cachefile,health tank"
	for sign in "/srv/xvm/share  192.168.77.0/24(" "fsid=7" "192.168.77.100/24" "ONLINE" "none"; do says "$sign"; done
	if [ -n "$(process "$peer")" ]; then
		want 0 "$peer" "! test -e /proc/spl/kstat/zfs/tank && ! grep ' tank' /proc/self/mountinfo && ! systemctl is-active writer &&
			! ip -o address show dev eth1 | grep 77.100"
	fi
}

round_trip() {
	begin on
	whole_on ec1
	want 0 ec1 "ha-release -n"
	says "zpool export tank"
	want 0 ec1 "ha-release --status"
	pipe ec1 ec2
	says "taken: ec2 holds tank"
	whole_on ec2
	want 0 ec2 "cat /etc/lab/state; exportfs -s"
	says "of ec1"
	says "/srv/other"
	want 0 ec1 "exportfs -s"
	says "/srv/other"
	want 4 ec1 "ha-release"
	says "the asset is not here"
	want 4 ec1 "ha-takeover"
	pipe ec2 ec1
	whole_on ec1
	# The way back: the host that released takes it again by its own record.
	want 0 ec1 "ha-release"
	want 4 ec2 "ha-takeover"
	want 0 ec1 "ha-takeover"
	whole_on ec1
	# Its record was used up.
	want 4 ec2 "ssh ec1 cat /var/lib/orderly/release.json | ha-takeover --record -"
}

busy() {
	begin on
	want 0 ec1 "cd /srv/data/inner && (sleep 3000 >/dev/null 2>&1 </dev/null &)"
	want 1 ec1 "ha-release"
	says "sleep"
	says "NOT safe to take over"
	whole_on ec1
	want 0 ec1 "exportfs -s"
	says "/srv/other"
	want 0 ec1 "pkill -x sleep; ha-release"
	want 0 ec1 "ha-takeover"
	whole_on ec1
}

# zpool export unmounts it silently, and somebody's folder is empty.
stray_bind() {
	begin on
	want 0 ec1 "mkdir -p /srv/stray && mount --bind /srv/xvm/share /srv/stray"
	want 4 ec1 "ha-release"
	says "/srv/stray"
	want 0 ec1 "mountpoint /srv/stray"
	whole_on ec1
	want 0 ec1 "umount /srv/stray && ha-release && ha-takeover"
	whole_on ec1
}

# The export of a pool makes exportfs forget what stands in no file.
other_exports() {
	begin on
	want 0 ec1 "exportfs -o ro,anonuid=2000,fsid=11 '10.9.9.0/24:/srv/other'"
	want 0 ec1 "ha-release"
	want 0 ec1 "exportfs -s"
	says "/srv/other  10.9.9.0/24("
	says "anonuid=2000"
	says "/srv/other  *("
	want 0 ec1 "ha-takeover && exportfs -s"
	says "/srv/other  10.9.9.0/24("
	# A client of the peer that keeps a file open keeps the pool.
	want 0 ec2 "mkdir -p /mnt/nfs && mount -t nfs -o vers=4.2,timeo=50,retrans=2 vip:/srv/xvm/share /mnt/nfs && cat /mnt/nfs/bytes | sha256sum && umount /mnt/nfs"
	want 0 ec1 "grep bytes /srv/xvm/sums"
	whole_on ec1
}

alive_peer() {
	begin on
	# The operator is wrong: ec1 does not answer, and writes.
	guests unplug ec1
	want 4 ec2 "ha-takeover --peer-down ec1"
	says "writes to it now"
	want 4 ec2 "ha-takeover"
	guests plug ec1
	whole_on ec1
}

lost_power() {
	begin on
	guests cut ec1
	want 4 ec2 "ha-takeover"
	says "--peer-down ec1"
	want 0 ec2 "ha-release --status"
	says "did not export it and is quiet now"
	want 0 ec2 "ha-takeover -n --peer-down ec1"
	says "zpool import -f"
	want 0 ec2 "ha-takeover --peer-down ec1"
	whole_on ec2
	guests start ec1
	# Repaired, it boots and takes nothing.
	on ec1 "exportfs -o rw,fsid=9 '*:/srv/other'"
	whole_on ec2
	want 4 ec1 "ha-release"
	want 4 ec1 "ha-takeover --peer-down ec2"
	pipe ec2 ec1
	whole_on ec1
	# Its own power: the pool is still its own, and needs neither proof nor force.
	guests cut ec1
	guests start ec1
	on ec1 "exportfs -o rw,fsid=9 '*:/srv/other'"
	want 0 ec1 "ha-takeover"
	whole_on ec1
}

# hang GUEST before|after PATTERN: zpool stops there, before or after doing what fits the pattern.
hang() {
	on "$1" "cat >/usr/local/sbin/zpool && chmod 755 /usr/local/sbin/zpool && sync" <<ZPOOL
#!/bin/sh
case "\$*" in
$3)
	[ $2 = before ] || /sbin/zpool "\$@"
	touch /tmp/hangs
	sleep 10000
	;;
esac
exec /sbin/zpool "\$@"
ZPOOL
}
await_hang() { want 0 "$1" "n=0; until test -e /tmp/hangs; do sleep 1; n=\$((n+1)); test \$n -lt $LAB_PATIENCE || exit 1; done"; }

cut_release() {
	local when
	for when in before after; do
		begin on
		hang ec1 $when 'export*'
		on ec1 "ha-release >/tmp/said 2>&1 </dev/null &"
		await_hang ec1
		guests cut ec1
		want 4 ec2 "ha-takeover"
		guests start ec1
		on ec1 "rm -f /usr/local/sbin/zpool; exportfs -o rw,fsid=9 '*:/srv/other'"
		want 4 ec1 "ha-takeover"
		says "ha-release"
		want 0 ec1 "ha-release"
		want 0 ec2 "ssh ec1 cat /var/lib/orderly/release.json | ha-takeover --record -"
		whole_on ec2
		pipe ec2 ec1
		whole_on ec1
	done
}

cut_takeover() {
	local when
	for when in before after; do
		begin on
		want 0 ec1 "ha-release"
		want 0 ec2 "ssh ec1 cat /var/lib/orderly/release.json >/root/record"
		hang ec2 $when 'import*-N*'
		on ec2 "ha-takeover --record /root/record >/tmp/said 2>&1 </dev/null &"
		await_hang ec2
		guests cut ec2
		guests start ec2
		on ec2 "rm -f /usr/local/sbin/zpool; exportfs -o rw,fsid=9 '*:/srv/other'"
		want 0 ec2 "ha-takeover --record /root/record"
		whole_on ec2
		pipe ec2 ec1
		whole_on ec1
	done
}

# The peer is dead, and whoever takes its pool loses power before anything is noted of that.
cut_forced() {
	local when
	for when in before after; do
		begin on
		guests cut ec1
		hang ec2 $when 'import*-N*'
		on ec2 "ha-takeover --peer-down ec1 >/tmp/said 2>&1 </dev/null &"
		await_hang ec2
		guests cut ec2
		guests start ec2
		on ec2 "rm -f /usr/local/sbin/zpool; exportfs -o rw,fsid=9 '*:/srv/other'"
		want 0 ec2 "ha-takeover --peer-down ec1"
		whole_on ec2
		guests start ec1
		on ec1 "exportfs -o rw,fsid=9 '*:/srv/other'"
		pipe ec2 ec1
		whole_on ec1
	done
}

# A host that hangs while its clock runs on comes back with its pool suspended.
hung() {
	begin on
	guests freeze ec1
	sleep 20
	want 0 ec2 "ha-takeover --peer-down ec1"
	guests thaw ec1
	want 0 ec1 "n=0; until grep SUSPENDED /proc/spl/kstat/zfs/tank/state; do sleep 1; n=\$((n+1)); test \$n -lt $LAB_PATIENCE || exit 1; done"
	want 5 ec1 "ha-release --timeout 30s"
	says "must be powered off"
	guests cut ec1
	whole_on ec2
	guests start ec1
	on ec1 "exportfs -o rw,fsid=9 '*:/srv/other'"
	pipe ec2 ec1
	whole_on ec1
}

multihost_off() {
	begin off
	guests unplug ec1
	want 0 ec2 "ha-release --status"
	says "multihost is off"
	want 4 ec2 "ha-takeover"
	guests plug ec1
	pipe ec1 ec2
	pipe ec2 ec1
	guests cut ec1
	want 4 ec2 "ha-takeover"
	want 4 ec2 "ha-takeover --peer-down ec2"
	want 0 ec2 "ha-takeover --peer-down ec1"
	whole_on ec2
	guests start ec1
	on ec1 "exportfs -o rw,fsid=9 '*:/srv/other'"
	pipe ec2 ec1
	whole_on ec1
}

[ $# -gt 0 ] || read -ra names <<<"$SCENARIOS"
[ $# -eq 0 ] || names=("$@")
finish() { guests cut ec1 ec2; }
trap finish EXIT
guests fresh
mkdir -p "$LOG"
install_programs
for scenario in "${names[@]}"; do
	begun=$SECONDS
	"$scenario"
	tell "ok $scenario ($((SECONDS - begun)) s)"
done
