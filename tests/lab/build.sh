#!/bin/bash
# Builds what the two guests boot from, out of Debian packages: base.img (a root with systemd, sshd,
# ZFS, LVM, DRBD, iSCSI, multipath and an NFS server), kernel, initrd and an ssh key, and beside them the
# iSCSI target that runs on this machine, all in LAB_DIR. Takes 8 to 15 minutes, once; does nothing when they
# are there. Needs root and the Debian archive this machine's apt uses.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/settings.sh
. "$here/settings.sh"
export DEBIAN_FRONTEND=noninteractive

# A root that was made before something came to it is made again.
if [ -s "$LAB_DIR/base.img" ] && [ -s "$LAB_DIR/kernel" ] && [ -s "$LAB_DIR/initrd" ] && [ -s "$KEY" ] &&
	[ -x "$TGTD" ] && grep -q '^drbd-utils ' "$LAB_DIR/packages"; then
	exit 0
fi
[ "$(id -u)" = 0 ] || fail "building the guests needs root"
WORK=$LAB_DIR/building
LOG=$LAB_DIR/build.log
mkdir -p "$LAB_DIR"
rm -rf "$WORK"
mkdir -p "$WORK"
: >"$LOG"

quietly() {
	timeout 3600 "$@" >>"$LOG" 2>&1 || {
		tail -n 20 "$LOG" >&2
		fail "$1 failed; see $LOG"
	}
}

missing() {
	local pair
	for pair in qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils mmdebstrap:mmdebstrap \
		mke2fs:e2fsprogs ssh-keygen:openssh-client cpio:cpio socat:socat sfdisk:fdisk zstd:zstd; do
		command -v "${pair%%:*}" >/dev/null || printf ' %s' "${pair#*:}"
	done
}

needed() {
	tell "programs of this machine:$(missing | grep . || echo ' all there')"
	quietly apt-get -q update
	# What comes may displace what was there in a newer version, as one part of QEMU does another.
	# shellcheck disable=SC2046
	for _ in 1 2; do
		[ -z "$(missing)" ] || quietly apt-get install -y --no-install-recommends $(missing)
	done
	[ -z "$(missing)" ] || fail "cannot have all of these together:$(missing)"
}

# The archive of this machine, with contrib beside it, where ZFS is.
sources() {
	local suite
	# shellcheck disable=SC1091
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
		awk -v suite="$suite" '$3 == "main" && $4 == "Debian" && index($2, suite) == 1 && $2 !~ /backports/ {
			print "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]", $1, $2, "main contrib" }' |
		sort -u >"$WORK/sources.list"
	[ -s "$WORK/sources.list" ] || fail "apt of this machine names no Debian archive"
	echo "$suite" >"$WORK/suite"
	apt-config dump | grep -E '^Acquire::(http|https|Check)' >"$WORK/apt.conf" || true
	echo 'Acquire::Languages "none";' >>"$WORK/apt.conf"
}

debian() { # FOLDER PACKAGES
	quietly mmdebstrap --mode=root --variant=minbase --format=directory --aptopt="$WORK/apt.conf" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$2" "$(cat "$WORK/suite")" "$1" "$WORK/sources.list"
}

# ZFS comes as source; its modules are compiled beside, so that no compiler gets into the guests.
modules() {
	local room=$WORK/compiler
	if [ -s "$LAB_DIR/zfs-modules.tar.zst" ]; then return; fi
	debian "$room" linux-headers-cloud-amd64,gcc,make,libc6-dev,libelf-dev,perl,python3-minimal,kmod,ca-certificates
	mount -t proc proc "$room/proc"
	trap 'umount "$WORK/compiler/proc" 2>/dev/null || true' EXIT
	quietly chroot "$room" sh -ec '
		release=$(ls /lib/modules)
		cd /tmp && apt-get -q update && apt-get -q download zfs-dkms && dpkg -x zfs-dkms_*.deb /
		cd /usr/src/zfs-*
		./configure --disable-dependency-tracking --with-config=kernel \
			--with-linux="$(readlink -f "/lib/modules/$release/source")" \
			--with-linux-obj="$(readlink -f "/lib/modules/$release/build")"
		make -j"$(nproc)" KCFLAGS=-g0
		mkdir -p "/out/lib/modules/$release/updates"
		find module -name "*.ko" -exec cp -t "/out/lib/modules/$release/updates" {} +
		strip --strip-debug "/out/lib/modules/$release/updates/"*.ko'
	umount "$room/proc"
	trap - EXIT
	tar -C "$room/out" --zstd -cf "$LAB_DIR/zfs-modules.tar.zst" lib
	rm -rf "$room"
}

root() {
	local room=$1
	debian "$room" "linux-image-cloud-amd64,systemd-sysv,udev,dbus,openssh-server,iproute2,iputils-ping,\
iputils-arping,procps,psmisc,kmod,nfs-kernel-server,nfs-common,lvm2,xfsprogs,e2fsprogs,rsync,lsof,strace,cron,jq,busybox-static,ca-certificates,drbd-utils,open-iscsi,multipath-tools"
	quietly chroot "$room" sh -ec '
		export DEBIAN_FRONTEND=noninteractive
		# Stands for the modules, which are unpacked below instead of compiled in the guest.
		mkdir -p /tmp/p/DEBIAN
		printf "Package: lab-zfs-modules\nVersion: 1\nArchitecture: all\nMaintainer: root <root@localhost>\nProvides: zfs-modules\nDescription: ZFS modules of the lab\n" >/tmp/p/DEBIAN/control
		dpkg-deb -b /tmp/p /tmp/p.deb && dpkg -i /tmp/p.deb && rm -rf /tmp/p /tmp/p.deb
		printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
		apt-get -q update
		apt-get -q install -y --no-install-recommends zfsutils-linux zfs-zed
		rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/*
		apt-get clean'
	tar -C "$room" --keep-directory-symlink --zstd -xf "$LAB_DIR/zfs-modules.tar.zst"
	chroot "$room" depmod "$(ls "$room/lib/modules")"
}

# Root logs in by key, from outside and from the other guest.
reach() {
	local room=$1
	[ -s "$KEY" ] || ssh-keygen -q -t ed25519 -N '' -C orderly-lab -f "$KEY"
	install -d -m 700 "$room/root/.ssh"
	install -m 600 "$KEY.pub" "$room/root/.ssh/authorized_keys"
	install -m 600 "$KEY" "$room/root/.ssh/id_ed25519"
	printf 'Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n' >"$room/root/.ssh/config"
	printf 'UseDNS no\nUsePAM no\nPermitRootLogin prohibit-password\nMaxStartups 100\n' >"$room/etc/ssh/sshd_config.d/lab.conf"
	printf '127.0.0.1 localhost\n192.168.77.1 ec1\n192.168.77.2 ec2\n192.168.77.100 vip\n' >"$room/etc/hosts"
	cat >"$room/usr/local/sbin/lab-net" <<'NET'
#!/bin/sh
index=$(sed 's/.*lab.index=\([0-9]*\).*/\1/' /proc/cmdline)
while [ ! -e /sys/class/net/eth1 ]; do sleep 0.1; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip addr add "192.168.77.$index/24" dev eth1
ip link set eth1 up
# A link of its own for what DRBD replicates.
if [ -e /sys/class/net/eth2 ]; then
	ip addr add "192.168.78.$index/24" dev eth2
	ip link set eth2 up
fi
NET
	chmod 755 "$room/usr/local/sbin/lab-net"
	cat >"$room/etc/systemd/system/lab-net.service" <<'UNIT'
[Unit]
DefaultDependencies=no
After=systemd-udev-trigger.service local-fs.target
Before=network.target ssh.service
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-net
[Install]
WantedBy=multi-user.target
UNIT
}

# Under software emulation every needless unit costs seconds.
spare() {
	local room=$1
	: >"$room/etc/fstab"
	: >"$room/etc/machine-id"
	rm -f "$room/etc/hostname" "$room/etc/hostid" "$room"/boot/initrd*
	echo zfs >"$room/etc/modules-load.d/zfs.conf"
	echo 'options zfs zfs_arc_max=134217728' >"$room/etc/modprobe.d/zfs.conf"
	mkdir -p "$room/etc/systemd/journald.conf.d" "$room/etc/systemd/system.conf.d"
	printf '[Journal]\nStorage=volatile\n' >"$room/etc/systemd/journald.conf.d/lab.conf"
	printf '[Manager]\nDefaultTimeoutStartSec=300s\nDefaultTimeoutStopSec=60s\n' >"$room/etc/systemd/system.conf.d/lab.conf"
	for module in ata_piix ata_generic aesni_intel ghash_clmulni_intel crct10dif_pclmul crc32_pclmul \
		sha512_ssse3 sha256_ssse3 sha1_ssse3 kvm kvm_amd kvm_intel psmouse serio_raw floppy i2c_piix4; do
		echo "blacklist $module"
	done >"$room/etc/modprobe.d/lab.conf"
	quietly chroot "$room" sh -ec '
		systemctl enable lab-net.service ssh.service nfs-server.service
		# Whoever needs one of these starts it.
		systemctl disable drbd.service iscsid.socket iscsid.service open-iscsi.service multipathd.socket multipathd.service
		systemctl mask apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer dpkg-db-backup.timer \
			e2scrub_reap.service nfs-blkmap.service getty@tty1.service systemd-timesyncd.service \
			proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount sys-kernel-tracing.mount systemd-pstore.service
		passwd -d root'
}

# The iSCSI target is unpacked, not installed: no service of it comes to this machine.
target() {
	(cd "$WORK" && quietly apt-get -q download tgt)
	rm -rf "$LAB_DIR/target"
	quietly dpkg -x "$WORK"/tgt_*.deb "$LAB_DIR/target"
	ldd "$TGTD" >>"$LOG"
	! ldd "$TGTD" | grep -q 'not found' || fail "libraries of tgtd are missing; see $LOG"
}

# Finds the root disk by its serial number, gives the guest its name and hostid, and goes on there.
first_steps() {
	local room=$1 ram=$WORK/initrd release n=100 module
	release=$(ls "$room/lib/modules")
	mkdir -p "$ram"/{bin,mod,proc,sys,dev,newroot}
	cp "$room/bin/busybox" "$ram/bin/"
	for module in virtio_pci virtio_blk ext4; do chroot "$room" modprobe -S "$release" --show-depends "$module"; done |
		awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r module; do
		n=$((n + 1))
		cp "$room$module" "$ram/mod/$n-${module##*/}"
	done
	cat >"$ram/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /mod/*; do insmod "$module"; done
for word in $(cat /proc/cmdline); do
	case $word in
	lab.name=*) name=${word#*=} ;;
	lab.hostid=*) hostid=${word#*=} ;;
	esac
done
while [ -z "$root" ]; do
	for serial in /sys/block/vd*/serial; do
		disk=${serial%/serial}
		[ "$(cat "$serial" 2>/dev/null)" = labroot ] && root=/dev/${disk##*/}
	done
done
mount -t ext4 -o noatime "$root" /newroot
echo "$name" >/newroot/etc/hostname
# Four bytes, the lowest first.
for at in 7-8 5-6 3-4 1-2; do printf "\\x$(echo "$hostid" | cut -c$at)"; done >/newroot/etc/hostid
mount --move /dev /newroot/dev
umount /sys /proc
exec switch_root /newroot /sbin/init
INIT
	chmod 755 "$ram/init"
	(cd "$ram" && find . | cpio --quiet -o -H newc) | gzip >"$LAB_DIR/initrd"
	cp "$room/boot/vmlinuz-$release" "$LAB_DIR/kernel"
}

needed
sources
target
tell "the modules of ZFS"
modules
tell "the root of the guests"
root "$WORK/root"
reach "$WORK/root"
spare "$WORK/root"
first_steps "$WORK/root"
chroot "$WORK/root" dpkg-query -W -f '${Package} ${Version}\n' >"$LAB_DIR/packages"
quietly mke2fs -q -t ext4 -d "$WORK/root" "$LAB_DIR/base.img.new" \
	"$(($(du -sm "$WORK/root" | cut -f1) + 600))M"
mv "$LAB_DIR/base.img.new" "$LAB_DIR/base.img"
rm -rf "$WORK"
tell "built after $SECONDS s with $(grep '^zfsutils-linux ' "$LAB_DIR/packages")"
