#!/bin/sh
# One of the two controllers, in namespaces of its own: `host.sh ec1|ec2 FOLDER`.
set -eu
host=$1
work=$2
who=$host
. "$(dirname "$0")/tell.sh"

# This host's own disk and boot id: the same boot id would be proof of the same machine.
mount --bind "$work/$host" /mnt
mount --bind "$work/$host/boot_id" /proc/sys/kernel/random/boot_id
ORDERLY_HOST=$host
ORDERLY_STATE_DIR=/mnt/state
export ORDERLY_HOST ORDERLY_STATE_DIR
cd "$work"

case $host in
ec1)
	# How it stands before anybody releases anything: the primary holds the asset and works.
	mount --bind "$work/disk" /mnt/asset
	mount --bind /mnt/asset/opt /mnt/opt
	"$work/bin/share" add
	"$work/bin/service" enterprise start
	"$work/bin/service" proxy start
	run 0 "habackup"
	run 0 "ha-release"
	;;
ec2)
	say "The record is the proof that ec1 let go; real hosts pipe it through ssh."
	run 0 "ha-takeover --record ec1/state/release.json"
	run 0 "cat /mnt/asset/data /mnt/conf/controller.conf"
	say "The secondary works on the same data, with the configuration the primary saved."
	;;
esac
