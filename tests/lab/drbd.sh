#!/bin/bash
# Hands a file system on a real DRBD resource over between the two guests, by examples/drbd, and cuts links and power meanwhile.
#   drbd.sh [SCENARIO…]     all of them without a name; BIN_DIR holds the programs
# Each guest uses one of the two shared disks as its own. Each scenario begins with ec1 holding the resource, and what was
# written last must be there at the end. What the programs and DRBD printed is in LAB_DIR/run/log. Ends with 1 when anything
# was not as it must be.
here=$(cd "$(dirname "$0")" && pwd)
name=drbd
# shellcheck source=tests/lab/scenario.sh
. "$here/scenario.sh"
SCENARIOS="round_trip apart stale lost_power lost_standby split_brain"

prepare() {
	local guest
	example drbd/ha.toml >"$RUN/ha.toml"
	example drbd/drbd-fence.conf >"$RUN/drbd-fence.conf"
	# Each guest's own disk is the shared one of its number.
	example drbd/r0.res | awk -v disk="$DISKS" '$1 == "on" {n = substr($2, 3) - 1} $1 == "disk" && $2 != "{" {$2 = disk n "-part1;"} 1' >"$RUN/r0.res"
	writer >"$RUN/database.service"
	for guest in ec1 ec2; do
		on "$guest" "mkdir -p /srv/data /etc/drbd.d"
		push "$guest" /usr/local/sbin "$here/../../examples/drbd/drbd-asset"
		push "$guest" /etc/orderly "$RUN/ha.toml" "$RUN/drbd-fence.conf"
		push "$guest" /etc/drbd.d "$RUN/r0.res"
		push "$guest" /etc/systemd/system "$RUN/database.service"
		on "$guest" "chmod 600 /etc/orderly/*; systemctl daemon-reload; systemctl enable -q drbd; sync"
	done
}

# drbdadm gives what it runs five seconds, and an emulated machine may need more: then it is told again.
is_up() { becomes "$1" "drbdadm adjust r0"; }
starts() {
	guests start "$1"
	is_up "$1"
}

# Begins again: ec1 holds a new resource with everything on it; nobody remembers anything.
begin() {
	local guest
	for guest in ec1 ec2; do
		on "$guest" "systemctl stop database; umount /srv/data; modprobe drbd; drbdadm down r0 || drbdadm down r0; rm -rf /var/lib/orderly" >>"$(log)" 2>&1 ||
			fail "$scenario: see $(log)"
	done
	# Both are down by now: none of them meets the other one as it was.
	for guest in ec1 ec2; do
		on "$guest" "drbdadm create-md --force r0" >>"$(log)" 2>&1 || fail "$scenario: see $(log)"
		is_up "$guest"
	done
	becomes ec1 "drbdadm cstate r0 | grep -qx Connected"
	# Both disks are blank for all that is on them later, so nothing is copied first.
	on ec1 "set -e
		drbdadm new-current-uuid --clear-bitmap r0/0
		drbdadm primary r0
		mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 /dev/drbd0 200M
		mount /dev/drbd0 /srv/data
		$(first_contents)
		ha-takeover
		sync" >>"$(log)" 2>&1 || fail "$scenario: making the resource failed; see $(log)"
}

alike() { becomes "$1" "drbdadm dstate r0 | grep -qx UpToDate/UpToDate"; }

# Everything is on this host, whole and newest, and nothing of it on the other one, if that one is up.
whole_on() { # GUEST NEWEST
	local guest=$1 peer
	peer=$(other "$guest")
	is_whole_on "$@"
	want 0 "$guest" "drbdadm role r0"
	says Primary/
	if [ -n "$(process "$peer")" ]; then
		want 0 "$peer" "! mountpoint /srv/data && ! systemctl is-active database && drbdadm role r0"
		says Secondary/
	fi
}

round_trip() {
	begin
	whole_on ec1 first
	want 0 ec1 "ha-release -n"
	says "drbd-asset r0 release"
	writes ec1 second
	pipe ec1 ec2
	whole_on ec2 second
	want 4 ec1 "ha-release"
	want 4 ec1 "ha-takeover"
	writes ec2 third
	pipe ec2 ec1
	whole_on ec1 third
	# The way back, by its own record, which is used up then.
	want 0 ec1 "ha-release"
	want 4 ec2 "ha-takeover"
	want 0 ec1 "ha-takeover"
	whole_on ec1 third
	want 4 ec2 "ssh ec1 cat /var/lib/orderly/release.json | ha-takeover --record -"
}

# Released on both, and not connected: for all that either knows, the other one has it.
apart() {
	begin
	want 0 ec1 "ha-release; scp -q /var/lib/orderly/release.json ec2:/root/record"
	guests unplug ec1 n2
	becomes ec1 "! drbdadm cstate r0 | grep -qx Connected"
	becomes ec2 "! drbdadm cstate r0 | grep -qx Connected"
	want 4 ec1 "ha-takeover"
	says "the asset is not free"
	want 4 ec2 "ha-takeover --record /root/record"
	says "the asset is not free"
	guests plug ec1 n2
	alike ec2
	want 0 ec2 "ha-takeover --record /root/record"
	whole_on ec2 first
}

# The replication is cut, ec1 writes on, and dies: what ec2 has is old, whatever anybody says.
stale() {
	begin
	guests unplug ec1 n2
	writes ec1 newer
	want 0 ec2 "drbdadm dstate r0"
	says "Outdated/"
	want 1 ec1 "ha-release"
	says "the other host could not take r0: its data are Outdated"
	whole_on ec1 newer
	want 0 ec2 "ha-takeover --status"
	says "r0 is Outdated here, not UpToDate"
	want 4 ec2 "ha-takeover"
	guests cut ec1
	for proof in "--peer-down ec1" --fence; do
		want 4 ec2 "ha-takeover $proof"
		says "r0 is Outdated here, not UpToDate"
	done
	want 0 ec2 "! drbdadm primary r0 && ! drbd-asset r0 take-dead && drbdadm role r0"
	says Secondary/
	starts ec1
	alike ec1
	want 4 ec1 "ha-takeover"
	want 0 ec1 "set -o pipefail; ssh ec2 ha-release --disclaim --json | ha-takeover --record -"
	whole_on ec1 newer
	pipe ec1 ec2
	whole_on ec2 newer
}

# What was called written before the power went is there.
lost_power() {
	begin
	cut_amid_writing
	want 4 ec2 "ha-takeover"
	says "--fence"
	# What fails after the take is taken back, though ec1 could not have it.
	want 0 ec2 "printf '#!/bin/sh\nexit 32\n' >/usr/local/sbin/mount && chmod 755 /usr/local/sbin/mount"
	want 1 ec2 "ha-takeover --fence"
	says "ec1 was fenced"
	want 0 ec2 "rm /usr/local/sbin/mount; drbdadm role r0; drbd-asset r0 state"
	says Secondary/
	says elsewhere
	want 0 ec2 "ha-takeover --fence"
	whole_on ec2 first
	has_counted ec2
	writes ec2 second
	# Repaired, it boots, gets what it lacks, and takes nothing.
	starts ec1
	alike ec1
	whole_on ec2 second
	want 4 ec1 "ha-takeover"
	pipe ec2 ec1
	whole_on ec1 second
}

# The host that only listens dies: ec1 powers it off for certain, writes on, and dies, too. What ec2 has when it is back is old.
lost_standby() {
	begin
	guests unplug ec2
	guests unplug ec2 n2
	writes ec1 newer
	[ -z "$(process ec2)" ] || fail "$scenario: ec2 has power"
	whole_on ec1 newer
	guests cut ec1
	starts ec2
	for proof in "--peer-down ec1" --fence; do
		want 4 ec2 "ha-takeover $proof"
		says "r0 is Consistent here, not UpToDate"
	done
	want 0 ec2 "drbdadm role r0 && ! mountpoint /srv/data"
	says Secondary/
	starts ec1
	alike ec2
	want 0 ec1 "set -o pipefail; ssh ec2 ha-release --disclaim --json | ha-takeover --record -"
	whole_on ec1 newer
	pipe ec1 ec2
	whole_on ec2 newer
}

# Two operators who are wrong, and no power controller: both hosts write.
split_brain() {
	begin
	want 0 ec1 "mv /etc/orderly/drbd-fence.conf /root"
	want 0 ec2 "mv /etc/orderly/drbd-fence.conf /root"
	guests unplug ec1
	guests unplug ec1 n2
	# Nothing is called written while nobody knows what ec2 does.
	want 0 ec1 "(echo of-ec1 >/srv/data/newest; sync /srv/data/newest; touch /root/written) >/dev/null 2>&1 </dev/null &"
	becomes ec1 "! drbdadm cstate r0 | grep -qx Connected"
	want 0 ec2 "ha-takeover --peer-down ec1"
	want 0 ec2 "echo of-ec2 >/srv/data/newest && sync /srv/data/newest"
	want 0 ec1 "sleep 5; ! test -e /root/written; drbdadm resume-io r0"
	becomes ec1 "test -e /root/written"
	guests plug ec1
	guests plug ec1 n2
	for guest in ec1 ec2; do becomes $guest "test -e /run/drbd-asset.r0.split-brain"; done
	for guest in ec1 ec2; do
		want 1 $guest "ha-release"
		says "the other host could not take r0"
		want 0 $guest "grep -x of-$guest /srv/data/newest && systemctl is-active database"
	done
	# A person decides for ec1.
	want 0 ec2 "systemctl stop database; umount /srv/data; drbdadm secondary r0"
	want 0 ec2 "ha-takeover --status"
	says "split brain: both hosts wrote to r0 on their own"
	want 4 ec2 "ha-takeover"
	want 0 ec2 "! drbd-asset r0 take-dead; ! drbd-asset r0 take; drbdadm role r0; mv /root/drbd-fence.conf /etc/orderly"
	says Secondary/
	want 0 ec2 "drbdadm disconnect r0; drbdadm connect --discard-my-data r0"
	want 0 ec1 "mv /root/drbd-fence.conf /etc/orderly; drbdadm connect r0"
	alike ec2
	whole_on ec1 of-ec1
	pipe ec1 ec2
	whole_on ec2 of-ec1
}

run "$@"
