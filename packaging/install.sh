#!/bin/sh
# Installs what was built; `make install` names the folders.
set -eu
: "${BIN_DIR:?}" "${SBINDIR:?}" "${MANDIR:?}" "${DOCDIR:?}" "${SYSCONFDIR:?}" "${UNITDIR:?}" "${PREFIX:?}" "${PROGRAMS:?}"
DESTDIR=${DESTDIR:-}
INSTALL=${INSTALL:-install}
here=$(dirname "$0")
top=$here/..

# put MODE SOURCE... FOLDER: installs what is there of the sources.
put() {
	mode=$1
	shift
	for last; do :; done
	while [ $# -gt 1 ]; do
		if [ -f "$1" ]; then
			$INSTALL -d -m 755 "$DESTDIR$last"
			echo "install $1 in $DESTDIR$last"
			$INSTALL -m "$mode" "$1" "$DESTDIR$last/"
		fi
		shift
	done
}

for program in $PROGRAMS; do
	[ -x "$BIN_DIR/$program" ] || { echo "install: $BIN_DIR/$program is missing: run make first" >&2; exit 1; }
done
for program in $PROGRAMS csLogger; do
	put 755 "$BIN_DIR/$program" "$SBINDIR"
done
# The old name for "restore the latest snapshot"; one program, two names.
ln -sf habackup "$DESTDIR$SBINDIR/harestore"

put 644 "$top"/man/*.5 "$MANDIR/man5"
put 644 "$top"/man/*.7 "$MANDIR/man7"
put 644 "$top"/man/*.8 "$MANDIR/man8"
if [ -f "$DESTDIR$MANDIR/man8/habackup.8" ]; then
	echo ".so man8/habackup.8" >"$DESTDIR$MANDIR/man8/harestore.8"
	chmod 644 "$DESTDIR$MANDIR/man8/harestore.8"
fi
put 644 "$top/README.md" "$top/CHANGELOG.md" "$DOCDIR"
put 644 "$top"/examples/*.toml "$top"/examples/*.json "$top"/examples/*Seq "$DOCDIR/examples"

# The hourly job of habackup, for cron and for systemd; both do nothing where the asset is not held.
# They are written for /usr/sbin; where the programs lie elsewhere, they say so.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for job in "$here"/habackup.cron "$here"/*.service "$here"/*.timer; do
	[ -f "$job" ] || continue
	sed "s|/usr/sbin/|$SBINDIR/|g" "$job" >"$work/$(basename "$job" .cron)"
done
put 644 "$work/habackup" "$SYSCONFDIR/cron.d"
put 644 "$work"/*.service "$work"/*.timer "$UNITDIR"
# Pacemaker looks for agents in one place, whatever the prefix is.
put 755 "$top/ocf/asset" "${OCFDIR:-/usr/lib/ocf/resource.d}/orderly"

share=$PREFIX/share
for program in $PROGRAMS csLogger harestore; do
	put 644 "$BIN_DIR/completions/$program.bash" "$share/bash-completion/completions"
	put 644 "$BIN_DIR/completions/_$program" "$share/zsh/site-functions"
	put 644 "$BIN_DIR/completions/$program.fish" "$share/fish/vendor_completions.d"
done
