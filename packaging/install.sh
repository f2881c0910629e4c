#!/bin/sh
# Installs what was built (`install.sh`), or removes it (`install.sh uninstall`); `make` names the directories.
# One list serves both, so what was installed is what is removed. Directories that others use as well stay.
set -eu
: "${BIN_DIR:?}" "${SBINDIR:?}" "${MANDIR:?}" "${DOCDIR:?}" "${SYSCONFDIR:?}" "${UNITDIR:?}" "${OCFDIR:?}"
: "${BASHCOMPDIR:?}" "${ZSHCOMPDIR:?}" "${FISHCOMPDIR:?}" "${PROGRAMS:?}"
DESTDIR=${DESTDIR:-}
INSTALL=${INSTALL:-install}
here=$(dirname "$0")
top=$here/..
task=${1:-install}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# put MODE SOURCE... DIRECTORY: installs the sources in a directory, or removes them from it.
put() {
	mode=$1
	shift
	for folder; do :; done
	while [ $# -gt 1 ]; do
		if [ "$task" = uninstall ]; then
			remove "$folder/$(basename "$1")"
		elif [ -f "$1" ]; then
			$INSTALL -d -m 755 "$DESTDIR$folder"
			echo "install $1 in $DESTDIR$folder"
			$INSTALL -m "$mode" "$1" "$DESTDIR$folder/"
		fi
		shift
	done
}

remove() {
	if [ -e "$DESTDIR$1" ] || [ -L "$DESTDIR$1" ]; then
		echo "remove $DESTDIR$1"
		rm -f "$DESTDIR$1"
	fi
}

# A live system: not a folder that a package is made of.
is_live() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; }

case $task in
install)
	for program in $PROGRAMS; do
		[ -x "$BIN_DIR/$program" ] || { echo "install: $BIN_DIR/$program is missing: run make first" >&2; exit 1; }
	done
	;;
uninstall)
	# Else the timer would go on without its unit, and its link would lead nowhere.
	for timer in habackup.timer orderly-preflight.timer; do
		if is_live && [ -f "$UNITDIR/$timer" ]; then
			systemctl disable --now "$timer"
		fi
	done
	;;
*)
	echo "usage: install.sh [install|uninstall]" >&2
	exit 2
	;;
esac

for program in $PROGRAMS csLogger; do
	put 755 "$BIN_DIR/$program" "$SBINDIR"
done
# The old name for "restore the latest snapshot"; one program, two names, one page.
if [ "$task" = install ]; then
	ln -sf habackup "$DESTDIR$SBINDIR/harestore"
else
	remove "$SBINDIR/harestore"
fi
echo ".so man8/habackup.8" >"$work/harestore.8"

put 644 "$top"/man/*.5 "$MANDIR/man5"
put 644 "$top"/man/*.7 "$MANDIR/man7"
put 644 "$top"/man/*.8 "$work/harestore.8" "$MANDIR/man8"
put 644 "$top/README.md" "$top/CHANGELOG.md" "$top/LICENSE" "$BIN_DIR/THIRD-PARTY.md" "$DOCDIR"
put 644 "$top"/examples/*.toml "$top"/examples/*.json "$top"/examples/*Seq "$DOCDIR/examples"

put 644 "$top"/doc/*.svg "$DOCDIR/doc"
# Whole sites; their programs and the sudoers line name the programs by their paths.
for site in "$top"/examples/*/; do
	site=$(basename "$site")
	mkdir -p "$work/$site"
	for file in "$top/examples/$site"/*; do
		sed "s|/usr/sbin/|$SBINDIR/|g" "$file" >"$work/$site/$(basename "$file")"
		mode=644
		[ ! -x "$file" ] || mode=755
		put "$mode" "$work/$site/$(basename "$file")" "$DOCDIR/examples/$site"
	done
done

# The jobs, for cron and for systemd, and the agent are written for /usr/sbin; where the programs lie elsewhere, they say so.
for job in "$here"/*.cron "$here"/*.service "$here"/*.timer; do
	sed "s|/usr/sbin/|$SBINDIR/|g" "$job" >"$work/$(basename "$job" .cron)"
done
sed "s|:/usr/sbin:/usr/local/sbin|&:$SBINDIR|" "$top/ocf/asset" >"$work/asset"
put 644 "$work/habackup" "$work/orderly-preflight" "$SYSCONFDIR/cron.d"
put 644 "$work"/*.service "$work"/*.timer "$UNITDIR"
put 755 "$work/asset" "$OCFDIR/orderly"

for program in $PROGRAMS csLogger harestore; do
	# bash-completion looks for the very name of a program.
	[ "$task" = uninstall ] || cp "$BIN_DIR/completions/$program.bash" "$work/$program" 2>/dev/null || continue
	put 644 "$work/$program" "$BASHCOMPDIR"
	put 644 "$BIN_DIR/completions/_$program" "$ZSHCOMPDIR"
	put 644 "$BIN_DIR/completions/$program.fish" "$FISHCOMPDIR"
done

if [ "$task" = uninstall ]; then
	# What nobody else puts anything into; whatever somebody did put there stays, and its folder.
	for site in "$top"/examples/*/; do
		rmdir "$DESTDIR$DOCDIR/examples/$(basename "$site")" 2>/dev/null || :
	done
	for folder in "$DOCDIR/examples" "$DOCDIR/doc" "$DOCDIR" "$OCFDIR/orderly"; do
		rmdir "$DESTDIR$folder" 2>/dev/null || :
	done
	if is_live; then
		systemctl daemon-reload
	fi
elif is_live; then
	echo "for an hourly snapshot: systemctl daemon-reload && systemctl enable --now habackup.timer"
fi
