#!/bin/bash
# Hands a real volume group over between the two guests of the lab, and pulls plugs meanwhile.
#   lvm.sh [SCENARIO…]     all of them without a name; BIN_DIR holds the programs
# Each scenario begins with ec1 holding the group and ends with the data compared. What the programs
# and lvm2 printed is in LAB_DIR/run/log. Ends with 1 when anything was not as it must be.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/settings.sh
. "$here/settings.sh"
BIN_DIR=${BIN_DIR:?"names the folder of the built programs"}
DISKS=/dev/disk/by-id/virtio-shared
SCENARIOS="round_trip busy nfs_client lost_power label_race missing_device"
LOG=$RUN/log
scenario=setup

guests() { "$here/guests.sh" "$@"; }

# want STATUS GUEST LINE: the line must end with this status; what it printed is in $said.
want() {
	local status=$1 guest=$2 got=0
	shift 2
	printf '\n# %s $ %s\n' "$guest" "$*" >>"$LOG/lvm.$scenario"
	said=$(on "$guest" "$@" 2>&1) || got=$?
	printf '%s\n# exit status %s\n' "$said" "$got" >>"$LOG/lvm.$scenario"
	[ "$got" = "$status" ] || fail "$scenario: $guest: $*: exit status $got, not $status:
$said"
}
says() { grep -qF -- "$1" <<<"$said" || fail "$scenario: \"$1\" was not said:
$said"; }
pipe() { want 0 "$1" "set -o pipefail; ha-release --json -q | ssh $2 ha-takeover --record -"; }
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
kind = "lvm"
group = "shared"
timeout = "2m"
[[asset.mount]]
volume = "data"
at = "/srv/vg"
options = "noatime"
[[loopback]]
source = "/srv/vg/opt"
at = "/opt/lab"
[[share]]
path = "/srv/vg/share"
clients = ["192.168.77.0/24"]
options = "rw,no_root_squash"
fsid = "8"
TOML
}

install_programs() {
	local guest
	configuration >"$RUN/ha.toml"
	for guest in ec1 ec2; do
		on "$guest" "mkdir -p /etc/orderly /srv/vg /opt/lab
			sed -i 's/.*system_id_source = .*/\tsystem_id_source = \"uname\"/' /etc/lvm/lvm.conf; cp /etc/lvm/lvm.conf /root/lvm.conf"
		push "$guest" /usr/local/sbin "$BIN_DIR"/habackup "$BIN_DIR"/ha-release "$BIN_DIR"/ha-takeover
		push "$guest" /etc/orderly "$RUN/ha.toml"
		on "$guest" "chmod 600 /etc/orderly/ha.toml; systemctl start nfs-server; sync"
	done
}

# Begins again: ec1 holds a new group with everything on it; nobody remembers anything.
begin() {
	local guest
	for guest in ec1 ec2; do
		on "$guest" "umount /opt/lab; exportfs -u 192.168.77.0/24:/srv/vg/share; exportfs -f; umount /srv/vg; cp /root/lvm.conf /etc/lvm/lvm.conf
			vgchange --activate n shared; rm -rf /var/lib/orderly; true" >>"$LOG/lvm.$scenario" 2>&1
	done
	on ec1 "set -e
		wipefs -qaf ${DISKS}0-part1 ${DISKS}1-part1
		pvcreate -qq -y ${DISKS}0-part1 ${DISKS}1-part1
		vgcreate -qq shared ${DISKS}0-part1 ${DISKS}1-part1
		vgchange -qq --setautoactivation n shared
		lvcreate -qq -y -n data -l 60%VG shared
		mkfs.ext4 -q /dev/shared/data
		mount /dev/shared/data /srv/vg
		mkdir /srv/vg/opt /srv/vg/share
		head -c 4000000 /dev/urandom >/srv/vg/share/bytes
		sha256sum /srv/vg/share/bytes >/srv/vg/sums
		ha-takeover
		sync" >>"$LOG/lvm.$scenario" 2>&1 || fail "$scenario: making the group failed; see $LOG/lvm.$scenario"
}

# Everything is on this host, whole, and nothing of it active on the other one, if that one is up.
whole_on() {
	local guest=$1 peer
	peer=$(other "$guest")
	want 0 "$guest" "sha256sum -c /srv/vg/sums && mountpoint /opt/lab && exportfs -s && vgs --noheadings -o vg_systemid shared"
	for sign in "/srv/vg/share  192.168.77.0/24(" "fsid=8" "$guest"; do says "$sign"; done
	if [ -n "$(process "$peer")" ]; then
		want 0 "$peer" "! grep -q . /sys/block/dm-*/dm/name 2>/dev/null && ! mountpoint /srv/vg"
	fi
}

round_trip() {
	begin
	whole_on ec1
	want 0 ec1 "ha-release -n"
	says "vgexport shared"
	pipe ec1 ec2
	says "taken: ec2 holds shared"
	whole_on ec2
	want 5 ec1 "vgchange --activate y shared"
	want 4 ec1 "ha-release"
	says "shared belongs to ec2"
	want 4 ec1 "ha-takeover"
	pipe ec2 ec1
	whole_on ec1
	want 0 ec1 "ha-release"
	# Released, it belongs to nobody, and LVM activates it nowhere.
	want 5 ec1 "vgchange --activate y shared"
	want 5 ec2 "vgchange --activate y shared"
	want 4 ec2 "ha-takeover"
	want 0 ec1 "ha-takeover"
	whole_on ec1
	# Its record was used up.
	want 4 ec2 "ssh ec1 cat /var/lib/orderly/release.json | ha-takeover --record -"
	says "held again after its release"
}

busy() {
	begin
	want 0 ec1 "cd /srv/vg/share && (sleep 3000 >/dev/null 2>&1 </dev/null &)"
	want 1 ec1 "ha-release"
	says "sleep"
	says "NOT safe to take over"
	whole_on ec1
	# Unmounted, the volume itself is still open: it cannot be deactivated.
	want 0 ec1 "pkill -x sleep; (sleep 3000 9</dev/shared/data >/dev/null 2>&1 </dev/null &)"
	want 1 ec1 "ha-release --timeout 30s"
	says "still held and running here"
	whole_on ec1
	want 0 ec1 "ha-release --holders"
	says "sleep"
	want 0 ec1 "pkill -x sleep; ha-release && ha-takeover"
	# A device that somebody built on the volume.
	want 0 ec1 "dmsetup create onit --table '0 2048 linear /dev/shared/data 0' || true; ha-release --holders"
	want 0 ec1 "dmsetup remove onit || true"
	whole_on ec1
}

# A client of the peer that keeps a file open keeps the file system busy after its export is gone.
nfs_client() {
	begin
	want 0 ec2 "mkdir -p /mnt/nfs && mount -t nfs -o vers=4.2 ec1:/srv/vg/share /mnt/nfs && (sleep 3000 9</mnt/nfs/bytes >/dev/null 2>&1 </dev/null &) && sleep 2"
	want 0 ec1 "ha-release --holders"
	says "NFS client 192.168.77.2:"
	says "/proc/fs/nfsd/clients/"
	want 1 ec1 "ha-release"
	says "bytes open; end it there, or echo expire"
	whole_on ec1
	want 0 ec1 "for control in /proc/fs/nfsd/clients/*/ctl; do echo expire >\$control; done; ha-release"
	want 0 ec2 "pkill -x sleep; umount -f /mnt/nfs || umount -l /mnt/nfs"
	want 0 ec1 "ha-takeover"
	whole_on ec1
}

lost_power() {
	begin
	guests cut ec1
	want 4 ec2 "ha-takeover"
	says "--peer-down ec1"
	want 0 ec2 "ha-release --status"
	says "shared belongs to ec1"
	want 4 ec2 "ha-takeover --peer-down ec2"
	want 0 ec2 "ha-takeover -n --peer-down ec1"
	says "--systemid ec2 shared"
	want 0 ec2 "ha-takeover --peer-down ec1"
	whole_on ec2
	guests start ec1
	# Repaired, it boots and takes nothing.
	whole_on ec2
	want 4 ec1 "ha-release"
	want 4 ec1 "ha-takeover --peer-down ec2"
	says "is not down"
	want 0 ec1 "systemctl start nfs-server"
	pipe ec2 ec1
	whole_on ec1
	# Its own power: the group is still its own, and needs neither proof nor force.
	guests cut ec1
	guests start ec1
	want 0 ec1 "systemctl start nfs-server; ha-takeover"
	whole_on ec1
}

# Both import at the same moment; at most one may have it active afterwards.
label_race() {
	local round active
	for round in 1 2 3; do
		begin
		want 0 ec1 "ha-release; cp /var/lib/orderly/release.json /root/record; scp -q /root/record ec2:/root/record"
		on ec1 "ha-takeover --record /root/record >/root/said 2>&1; echo \$? >>/root/said" &
		on ec2 "ha-takeover --record /root/record >/root/said 2>&1; echo \$? >>/root/said" &
		wait
		active=0
		for guest in ec1 ec2; do
			want 0 "$guest" "cat /root/said; cat /sys/block/dm-*/dm/name 2>/dev/null || true"
			if grep -qx shared-data <<<"$said"; then active=$((active + 1)); fi
		done
		tell "round $round of the race: active on $active host(s)"
		[ "$active" -le 1 ] || fail "$scenario: both hosts have it active"
	done
}

missing_device() {
	begin
	want 0 ec1 "ha-release; scp -q /var/lib/orderly/release.json ec2:/root/record"
	# One of the two disks is not seen any more.
	want 0 ec2 "sed -i '/^devices {/a\\\\tfilter = [\"a|^/dev/vdb1\$|\", \"r|.*|\"]' /etc/lvm/lvm.conf; vgs --foreign 2>&1 || true"
	want 4 ec2 "ha-takeover --record /root/record"
	says "are missing"
	want 0 ec2 "cp /root/lvm.conf /etc/lvm/lvm.conf; ha-takeover --record /root/record"
	whole_on ec2
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
