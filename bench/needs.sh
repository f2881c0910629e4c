#!/bin/sh
# Installs the programs that bench/ measures beside, where that is possible, and says what it does.
# Elsewhere (not root, no apt-get) the benches themselves say what they did not find.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

# program:package
NEEDS="cc:gcc as:binutils python3:python3 make:make ninja:ninja-build tsort:coreutils xargs:findutils
pdsh:pdsh clush:clustershell cluset:clustershell powermand:powerman powerman:powerman curl:curl openssl:openssl
sshd:openssh-server ssh:openssh-client ip:iproute2 unshare:util-linux fuser:psmisc lsof:lsof valgrind:valgrind
rsync:rsync restic:restic borg:borgbackup zstd:zstd tar:tar mkfs.ext4:e2fsprogs find:findutils"
# A compiler without the headers of the C library compiles nothing.
[ -e /usr/include/stdio.h ] || NEEDS="$NEEDS stdio.h:libc6-dev"
WHO=bench
export NEEDS WHO
exec "$here/packaging/test-needs.sh"
