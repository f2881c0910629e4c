# What the scripts of scenarios share. Sourced, not run; name is that of the script in the log.
# shellcheck shell=bash
# shellcheck source=tests/lab/settings.sh
. "${here:?}/settings.sh"
BIN_DIR=${BIN_DIR:?"names the folder of the built programs"}
DISKS=/dev/disk/by-id/virtio-shared
LOG=$RUN/log
scenario=setup
said=

guests() { "$here/guests.sh" "$@"; }
log() { echo "$LOG/${name:?}.$scenario"; }

# want STATUS GUEST LINE: the line must end with this status; what it printed is in $said.
want() {
	local status=$1 guest=$2 got=0
	shift 2
	printf '\n# %(%H:%M:%S)T %s $ %s\n' -1 "$guest" "$*" >>"$(log)"
	said=$(on "$guest" "$@" 2>&1) || got=$?
	printf '%s\n# exit status %s\n' "$said" "$got" >>"$(log)"
	[ "$got" = "$status" ] || fail "$scenario: $guest: $*: exit status $got, not $status:
$said"
}
says() { grep -qF -- "$1" <<<"$said" || fail "$scenario: \"$1\" was not said:
$said"; }
# until GUEST LINE: the line succeeds before long.
becomes() {
	want 0 "$1" "n=0; until $2; do sleep 1; n=\$((n+1)); test \$n -lt $LAB_PATIENCE || exit 1; done"
}
pipe() { want 0 "$1" "set -o pipefail; ha-release --json -q | ssh $2 ha-takeover --record -"; }
other() { if [ "$1" = ec1 ]; then echo ec2; else echo ec1; fi; }

# An example of a site, for the addresses and the power of the guests.
example() { # FILE
	# shellcheck disable=SC2016
	sed -E -e 's#192\.0\.2\.#192.168.77.#; s#198\.51\.100\.#192.168.78.#' \
		-e 's#\["ipmitool", .*"(ec[12])-bmc", .*"power", "(off|status)"\]#["/usr/local/sbin/lab-power", "\2", "\1"]#' \
		-e 's#"ipmitool .* power (off|status)"#"/usr/local/sbin/lab-power \1 $peer"#' "$here/../../examples/$1"
}

# The programs, and what asks the power controller, which is this machine.
install_programs() {
	local guest
	cat >"$RUN/lab-power" <<'POWER'
#!/bin/bash
exec 3<>/dev/tcp/10.0.2.99/623 && echo "$1 $2" >&3 && timeout 60 cat <&3
POWER
	chmod 755 "$RUN/lab-power"
	for guest in ec1 ec2; do
		push "$guest" /usr/local/sbin "$BIN_DIR"/ha-release "$BIN_DIR"/ha-takeover "$RUN/lab-power"
		on "$guest" "mkdir -p /etc/orderly"
	done
}

# A service that writes for as long as it runs: each line on disk before the next.
writer() {
	cat <<'UNIT'
[Service]
ExecStart=/bin/sh -c 'while :; do date +%%s >>/srv/data/written; sync /srv/data/written; sleep 1; done'
UNIT
}
# What begin puts on the mounted asset, as lines.
first_contents() {
	cat <<'LINES'
head -c 4000000 /dev/urandom >/srv/data/bytes
sha256sum /srv/data/bytes >/srv/data/sums
echo first >/srv/data/newest
LINES
}
writes() { want 0 "$1" "echo $2 >/srv/data/newest && sync /srv/data/newest"; }
is_whole_on() { # GUEST NEWEST
	want 0 "$1" "sha256sum -c /srv/data/sums && systemctl is-active database && mountpoint /srv/data && grep -x $2 /srv/data/newest"
}
# Cuts the power of ec1 while it writes line after line, and keeps the number of the last line that it called written.
cut_amid_writing() {
	local told
	on ec1 "i=0; while :; do i=\$((i+1)); echo \$i >>/srv/data/count && sync /srv/data/count && echo \$i; done" >"$RUN/counted" 2>/dev/null </dev/null &
	told=$!
	until [ "$(wc -l <"$RUN/counted")" -gt 20 ]; do sleep 1; done
	guests cut ec1
	wait "$told" || true
	counted=$(tail -n 1 "$RUN/counted")
}
has_counted() {
	want 0 "$1" "seq $counted >/root/counted; cmp -n \$(stat -c %s /root/counted) /root/counted /srv/data/count && wc -l /srv/data/count"
	tell "$scenario: all of the $counted lines that were written when the power went are there"
}

finish() {
	guests cut ec1 ec2
	"$here/target.sh" down
}

# run [SCENARIO…]: from pristine guests; all of SCENARIOS without a name.
run() {
	[ $# -gt 0 ] || read -ra names <<<"${SCENARIOS:?}"
	[ $# -eq 0 ] || names=("$@")
	trap finish EXIT
	guests fresh
	mkdir -p "$LOG"
	install_programs
	prepare
	for scenario in "${names[@]}"; do
		local begun=$SECONDS
		"$scenario"
		tell "ok $scenario ($((SECONDS - begun)) s)"
	done
}
