#!/bin/sh
# Builds an RPM package of what was built, in target/ or RPM_DIR; `make rpm` calls it. BIN_DIR has the programs, EXTRAS the
# completions and notices. With SOURCE_DATE_EPOCH (else: the date of the last commit) the same source makes the same package.
set -eu
: "${BIN_DIR:?}" "${EXTRAS:=$BIN_DIR}" "${VERSION:?}" "${PROGRAMS:?}"
TOP=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${RPM_DIR:=$TOP/target}"
RPM_DIR=$(cd "$RPM_DIR" && pwd)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$TOP" log -1 --format=%ct 2>/dev/null || stat -c %Y "$TOP/CHANGELOG.md")}
command -v rpmbuild >/dev/null 2>&1 || { echo "rpm: needs rpmbuild: the package rpm-build, on Debian rpm" >&2; exit 1; }

umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
for program in $PROGRAMS csLogger; do
	[ -x "$BIN_DIR/$program" ] || { echo "rpm: $BIN_DIR/$program is missing: run make first" >&2; exit 1; }
	strip -o "$work/bin/$program" "$BIN_DIR/$program"
done
cp -R "$EXTRAS/completions" "$EXTRAS/THIRD-PARTY.md" "$work/bin"
BIN_DIR=$work/bin
export TOP BIN_DIR PROGRAMS SOURCE_DATE_EPOCH
if ! rpmbuild -bb --quiet --define "_topdir $work/top" --define "_rpmdir $work" --define "_buildhost orderly" \
	--define "orderly_version $VERSION" "$TOP/packaging/orderly.spec" >"$work/log" 2>&1; then
	cat "$work/log" >&2
	exit 1
fi
for package in "$work"/*/*.rpm; do
	mv "$package" "$RPM_DIR/"
	echo "$RPM_DIR/$(basename "$package")"
done
