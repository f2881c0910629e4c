#!/bin/sh
# Builds a Debian package of what was built, in the folder DEB_DIR; `make deb` calls it.
# DEBFULLNAME and DEBEMAIL name the maintainer, as for other Debian tools.
set -eu
: "${BIN_DIR:?}" "${DEB_DIR:?}" "${VERSION:?}" "${PROGRAMS:?}"
here=$(dirname "$0")
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
doc=$root/usr/share/doc/orderly

umask 022
export BIN_DIR PROGRAMS
DESTDIR=$root PREFIX=/usr SBINDIR=/usr/sbin MANDIR=/usr/share/man DOCDIR=/usr/share/doc/orderly SYSCONFDIR=/etc \
	UNITDIR=/lib/systemd/system INSTALL=install "$here/install.sh" >/dev/null
find "$root/usr/sbin" -type f -exec strip --strip-unneeded {} +
# The newest C library any of the programs asks for.
libc=$(find "$root/usr/sbin" -type f -exec objdump -T {} + | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -Vu | tail -n 1)
if [ -d "$root/usr/share/man" ]; then
	find "$root/usr/share/man" -type f -exec gzip -9n {} +
fi
gzip -9nc "$here/../CHANGELOG.md" >"$doc/changelog.gz"
rm -f "$doc/CHANGELOG.md"
maintainer="${DEBFULLNAME:-$(id -un)} <${DEBEMAIL:-$(id -un)@$(uname -n)}>"
gzip -9nc >"$doc/changelog.Debian.gz" <<END
orderly ($VERSION-1local1) unstable; urgency=medium

  * Built with make deb; what changed is in changelog.gz.

 -- $maintainer  $(date -uR)
END
cat >"$doc/copyright" <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: orderly

Files: *
Copyright: 2026 the Orderly authors
License: Apache-2.0
 On Debian systems the full text of this license is in
 /usr/share/common-licenses/Apache-2.0.
END

mkdir "$root/DEBIAN"
if [ -d "$root/etc" ]; then
	find "$root/etc" -type f | sed "s|^$root||" | sort >"$root/DEBIAN/conffiles"
fi
cat >"$root/DEBIAN/control" <<END
Package: orderly
Version: $VERSION-1local1
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -ks "$root" | cut -f1)
Depends: libc6 (>= $libc), libgcc-s1
Suggests: openssh-client, cron, iputils-ping, iputils-arping, pacemaker
Section: admin
Priority: optional
Description: bring a cluster up and down in order, hand its storage over
 Six small programs: seqfile, cstartup and cshutdown start and stop the nodes
 of a cluster, many at once and never before what they depend on; habackup,
 ha-release and ha-takeover hand shared storage from one controller to
 another without losing data.
 .
 They keep the names, flags and files of the commands of IBM PSSP and of
 Sun Ops Center.
END
mkdir -p "$DEB_DIR"
dpkg-deb --root-owner-group --build "$root" "$DEB_DIR/orderly_$VERSION-1local1_$architecture.deb"
