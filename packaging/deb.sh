#!/bin/sh
# Builds a Debian package of what was built, in target/ or DEB_DIR; `make deb` calls it. packaging/debian is for debhelper.
# DEBFULLNAME and DEBEMAIL name the maintainer, as for other Debian tools. With SOURCE_DATE_EPOCH (else: the date of the
# last commit) the same source makes the same package.
set -eu
: "${BIN_DIR:?}" "${VERSION:?}" "${PROGRAMS:?}"
TOP=$(cd "$(dirname "$0")/.." && pwd)
BIN_DIR=$(cd "$BIN_DIR" && pwd)
mkdir -p "${DEB_DIR:=$TOP/target}"
DEB_DIR=$(cd "$DEB_DIR" && pwd)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$TOP" log -1 --format=%ct 2>/dev/null || stat -c %Y "$TOP/CHANGELOG.md")}
export TOP BIN_DIR PROGRAMS SOURCE_DATE_EPOCH

for need in dpkg-buildpackage:dpkg-dev dh:debhelper; do
	command -v "${need%:*}" >/dev/null 2>&1 || { echo "deb: needs ${need%:*}: apt-get install ${need#*:}" >&2; exit 1; }
done

umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/orderly"
cp -R "$TOP/packaging/debian" "$work/orderly/debian"
cd "$work/orderly"
maintainer="${DEBFULLNAME:-Built with make deb} <${DEBEMAIL:-orderly@example.org}>"
sed "s|@MAINTAINER@|$maintainer|" "$TOP/packaging/debian/control" >debian/control
cat >debian/changelog <<END
orderly ($VERSION-1local1) unstable; urgency=medium

  * Built with make deb; what changed is in changelog.gz.

 -- $maintainer  $(date -uRd "@$SOURCE_DATE_EPOCH")
END
# -d: the programs are built already, so what builds them need not be a package.
if ! dpkg-buildpackage -d -b -us -uc >"$work/log" 2>&1; then
	cat "$work/log" >&2
	exit 1
fi
for package in "$work"/*.deb; do
	mv "$package" "$DEB_DIR/"
	echo "$DEB_DIR/$(basename "$package")"
done
