#!/bin/sh
# Makes the pictures of README.md anew, in doc or the directory that is named: a rehearsal on a virtual clock, which comes
# out the same everywhere. A test compares them with what the programs draw.
#     make && BIN_DIR=target/release packaging/pictures.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
BIN_DIR=$(cd "${BIN_DIR:?the folder of the built programs}" && pwd)
out=$(cd "${1:-$here/../doc}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset SP_NAME ORDERLY_INVENTORY
ORDERLY_CONFIG_DIR=$work/etc
ORDERLY_STATE_DIR=$work/state
export work ORDERLY_CONFIG_DIR ORDERLY_STATE_DIR
mkdir -p "$work/etc" "$work/state"
. "$here/demo/cluster.sh"
# As slow as real ones, and not all at once.
sed -e 's/^boot = .*/boot = "2m"/' -e '$a [limits]\nbooting = 60' "$work/etc/cluster.toml" >"$work/etc/slow.toml"
mv "$work/etc/slow.toml" "$work/etc/cluster.toml"
chmod 600 "$work/etc/cluster.toml"
cd "$work"
PATH=$BIN_DIR:$PATH
printf '%s\n' 'storage: io[1-2]' 'scratch: io[3-4]' 'boot: @boot' 'rack1: n[001-060]' 'rack2: n[061-120]' 'rack3: n[121-180]' \
	'storage, scratch > boot' 'boot(90%) > rack1, rack2, rack3' >cstartSeq

# draw FILE COMMAND...: the picture without who made it, and when.
draw() {
	file=$1
	shift
	status=0
	"$@" --rehearse --timeline drawn.svg >said 2>&1 || status=$?
	[ "$status" -le 1 ] || { cat said >&2; exit 1; }
	sed -e 's/[0-9-]* [0-9:]* by [^;<]*; //g' -e 's/ --rehearse --timeline drawn.svg//g' drawn.svg >"$out/$file"
}
draw cstartup.svg cstartup --fail boot07 ALL
