#!/bin/sh
# Installs the programs the tests run against, where that is possible, and says what it does.
# Elsewhere (not root, no apt-get) the scenarios themselves say what they did not find.
# bench/needs.sh calls it with a list of its own in NEEDS, and its name in WHO.
set -eu
who=${WHO:-test}

# program:package
[ -n "${NEEDS-}" ] || NEEDS="sshd:openssh-server ssh:openssh-client mandoc:mandoc strace:strace mkfs.ext4:e2fsprogs
losetup:mount unshare:util-linux ip:iproute2 setfacl:acl setfattr:attr cron:cron man:man-db
nodeattr:genders cluset:clustershell clush:clustershell pdsh:pdsh python3:python3 ansible-inventory:ansible-core
powermand:powerman ipmi_sim:openipmi ipmitool:ipmitool ipmipower:freeipmi-tools
  mkfs.xfs:xfsprogs systemd-analyze:systemd systemd-nspawn:systemd-container setcap:libcap2-bin chattr:e2fsprogs flock:util-linux mkfs.btrfs:btrfs-progs dd:coreutils corosync:corosync pacemakerd:pacemaker crm_mon:pacemaker-cli-utils ocf-tester:resource-agents xmllint:libxml2-utils ping:iputils-ping arping:iputils-arping shellcheck:shellcheck faketime:faketime valgrind:valgrind
upsd:nut-server upsmon:nut-client upssched:nut-client jq:jq dot:graphviz sudo:sudo munged:munge slurmctld:slurmctld slurmd:slurmd sinfo:slurm-client virsh:libvirt-clients libvirtd:libvirt-daemon setpriv:util-linux curl:curl openssl:openssl patch:patch
rsync:rsync promtool:prometheus tmux:tmux
dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian rpmbuild:rpm strip:binutils"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=
for need in $NEEDS; do
	command -v "${need%%:*}" >/dev/null 2>&1 || missing="$missing ${need#*:}"
done
# What Debian has no package of, each in an environment of its own below target/peers.
peers() {
	peers=${CARGO_TARGET_DIR:-target}/peers
	if [ -x "$peers/sushy/bin/sushy-emulator" ]; then
		return
	fi
	if [ ! -x /usr/bin/python3 ]; then
		echo "$who: not installed here: sushy-tools (needs python3); what uses it says so"
		return
	fi
	if ! /usr/bin/python3 -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" -eq 0 ]; then
		echo "$who: installing: python3-venv"
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv || :
	fi
	echo "$who: installing in $peers: sushy-tools (from PyPI)"
	rm -rf "$peers/sushy"
	mkdir -p "$peers"
	if ! /usr/bin/python3 -m venv "$peers/sushy" || ! "$peers/sushy/bin/pip" install --quiet sushy-tools==2.2.0; then
		rm -rf "$peers/sushy"
		echo "$who: could not be installed: sushy-tools; what uses it says so" >&2
	fi
}

if [ -z "$missing" ]; then
	peers
	exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "$who: not installed here:$missing (needs root and apt-get); what uses them says so"
	peers
	exit 0
fi

echo "$who: installing:$missing"
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
# A service that is installed for its program must not start on this machine.
policy=/usr/sbin/policy-rc.d
ours=no
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	ours=yes
fi
restore() { if [ "$ours" = yes ]; then rm -f "$policy"; fi; }
trap restore EXIT
# shellcheck disable=SC2086
if apt-get install -y --no-install-recommends $missing; then
	peers
	exit 0
fi
# A fresh machine has no lists of packages yet.
# shellcheck disable=SC2086
if apt-get update && apt-get install -y --no-install-recommends $missing; then
	peers
	exit 0
fi
# One package that is not to be had keeps no other from being installed.
for package in $missing; do
	apt-get install -y --no-install-recommends "$package" ||
		echo "$who: could not be installed: $package; what uses it says so" >&2
done
peers
