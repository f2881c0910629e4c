#!/bin/sh
# The main job end to end on this machine: a simulated cluster goes up and down in order, and a
# storage asset goes from one controller to the other. No root, no cluster, no network; nothing
# outside a temporary folder is touched. `make demo` builds the programs and runs this.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
BIN_DIR=$(cd "${BIN_DIR:?the folder of the built programs: run this with \`make demo\`}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/orderly-demo.XXXXXXXX")
began=$(date +%s)
ended=no

finish() {
	if [ "$ended" = yes ]; then
		rm -rf "$work"
	else
		printf '\ndemo: did not get to its end; what it made is in %s\n' "$work" >&2
	fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Everything is found in the temporary folder; what this shell was told before does not matter.
unset SP_NAME ORDERLY_INVENTORY ORDERLY_HOST
PATH=$BIN_DIR:$PATH
ORDERLY_CONFIG_DIR=$work/etc
ORDERLY_STATE_DIR=$work/state
export PATH ORDERLY_CONFIG_DIR ORDERLY_STATE_DIR work
mkdir -p "$work/etc" "$work/state" "$work/log"

. "$here/demo/tell.sh"

title "Orderly: a cluster in the right order, its storage without loss"
say "Everything happens in $work, and is gone afterwards."

chapter 1 "200 nodes: 4 storage servers, 16 boot servers, 180 that boot from them"
. "$here/demo/cluster.sh"
cd "$work"
run 0 "head -n 8 inventory.json"
run 0 "seqfile -i inventory.json --fold -o cstartSeq"
run 0 "head -n 6 cstartSeq; echo ...; tail -n 4 cstartSeq"
say "One file under both names: cshutdown goes through it mirrored."
run 0 "ln -s cstartSeq cshutSeq"
run 0 "seqfile --check cstartSeq -i inventory.json"

chapter 2 "Up: nothing is started before what it depends on"
say "A node whose servers are down is not started; the refusal says what would help."
run 4 "cstartup n001"
run 0 "cstartup ALL"

chapter 3 "The storage changes hands"
. "$here/demo/pair.sh"
if find_private_hosts; then
	say "Two controllers, ec1 and ec2, each with mounts, name, local disk and boot id of its own;"
	say "the asset is one folder, mounted by whoever holds it."
	$private_host "$here/demo/host.sh" ec1 "$work"
	$private_host "$here/demo/host.sh" ec2 "$work"
else
	say "This machine forbids private mounts (user namespaces), so there is one controller, ec1, and an"
	say "asset of kind command: no backup, no mounts, and ec1 takes back what it released."
	sh "$here/demo/alone.sh" "$work"
fi

chapter 4 "Down: users are told, clients first, power last"
run 0 "cshutdown ALL"

title "That was the main job, in $(($(date +%s) - began)) s. man/*.8 say the rest."
ended=yes
