#!/bin/sh
# The programs of "Shutting Down the Primary Enterprise Controller", scripted: what it is called by
# decides which one this is. It prints what the procedure prints, keeps its state in $ORDERLY_BED, one
# table a host, and logs each call there. What is mounted is also really bind mounted, in the private
# mount namespace of the scenario's host, so that files can be seen where they are expected.
# $ORDERLY_BED/trouble may hold lines "PROGRAM VERB WHAT" with WHAT one of fail, hang, lie.
me=${0##*/}
bed=$ORDERLY_BED
host=$(uname -n)
echo "$host $me${*:+ $*}" >>"$bed/calls"

mnttab=$bed/mnttab.$host
sharetab=$bed/sharetab.$host
pool=OpsCenter
data=$bed/pool.data

told() { grep -q "^$me $1 $2\$" "$bed/trouble" 2>/dev/null; }
without() { grep -v "$1" "$2" >"$2.new"; mv "$2.new" "$2"; }
really() {
	tool=/bin/$1
	shift
	"$tool" "$@" </dev/null >&2
}
is_imported() { [ "$(cat "$bed/pool.holder")" = "$host" ]; }

# adm WORD: proxyadm and satadm differ only in what they call what they stop.
adm() {
	state=$bed/$me.$host
	case "$*" in
	"$1 status")
		if [ -e "$state" ]; then echo online; elif told status vague; then echo maintenance; else echo offline; fi ;;
	"$1 stop -w")
		told stop fail && { echo "$me: cannot stop" >&2; exit 1; }
		echo "$me: Shutting down $1 using SMF..."
		rm -f "$state"
		case $1 in proxy) echo "$me: Proxy services have stopped" ;; *) echo "$me: Satellite services have stopped" ;; esac ;;
	"$1 start -w") : >"$state" ;;
	*) exit 2 ;;
	esac
}

lofs_line() { echo "$1 on $2 type lofs read/write/setuid/devices/dev=4010002 on Mon Feb 23 08:15:15 2009"; }
zfs_line() { echo "$1 on $2 type zfs read/write/setuid/devices/exec/xattr/atime/dev=4010002 on Mon Feb 23 07:59:22 2009"; }

case $me in
proxyadm) adm proxy "$@" ;;
satadm) adm satellite "$@" ;;
hostid) if [ "$host" = ec1 ]; then echo 84a1b2c3; else echo 84d4e5f6; fi ;;
ping) if [ -e "$bed/answers.$1" ]; then echo "$1 is alive"; else echo "no answer from $1"; exit 1; fi ;;
mount)
	case "$1 $2" in
	"-v ") cat "$mnttab" ;;
	"-F lofs")
		told lofs fail && { echo "mount: no" >&2; exit 1; }
		really mount --bind "$3" "$4" && lofs_line "$3" "$4" >>"$mnttab" ;;
	"-F zfs") is_imported && really mount --bind "$data" "$4" && zfs_line "$3" "$4" >>"$mnttab" ;;
	*) exit 2 ;;
	esac ;;
umount)
	told "$1" fail && { echo "umount: $1 busy" >&2; exit 1; }
	really umount "$1" && without " on $1 type " "$mnttab" ;;
share)
	case "$1 $2 $3 $5" in
	"   ") cat "$sharetab" ;;
	"-F nfs -o -d") printf '%s\n' "-               $7   $4   \"$6\"  " >>"$sharetab" ;;
	*) exit 2 ;;
	esac ;;
unshare)
	cp "$mnttab" "$bed/mnttab.at-unshare"
	without " $1 " "$sharetab" ;;
exportfs)
	case "$1" in
	-s) cat "$sharetab" ;;
	-o) echo "${3#*:}  ${3%%:*}($2)" >>"$sharetab" ;;
	-u) without "^${2#*:}  " "$sharetab" ;;
	-f) ;;
	*) exit 2 ;;
	esac ;;
zfs)
	[ "$*" = list ] || exit 2
	if is_imported; then
		cat <<-END
			NAME            USED  AVAIL  REFER  MOUNTPOINT
			OpsCenter       382M   134G  1.50K  none
			OpsCenter/xvm   382M   134G   382M  legacy
		END
	else
		echo "no datasets available"
	fi ;;
zpool)
	case "$*" in
	list)
		told list hang && is_imported && [ -e "$bed/suspended" ] && exec sleep 1000
		if is_imported; then
			printf '%s\n' "NAME        SIZE   USED  AVAIL    CAP  HEALTH  ALTROOT" \
				"OpsCenter   136G   382M   136G     0%  ONLINE  -"
		else
			echo "no pools available"
		fi ;;
	"get guid $pool") is_imported && printf '%s\n' "NAME       PROPERTY  VALUE                SOURCE" \
		"OpsCenter  guid      8732654879135792468  -" ;;
	"export $pool")
		told export hang && { : >"$bed/suspended"; exec sleep 1000; }
		told export lie && exit 0
		if grep -q ' type lofs .*dev=4010002' "$mnttab" || told export fail; then
			echo "cannot unmount '/var/opt/sun/xvm': Device busy" >&2
			exit 1
		fi
		while grep -q '^OpsCenter/xvm ' "$mnttab"; do
			really umount /var/opt/sun/xvm || exit 1
			without '^OpsCenter/xvm ' "$mnttab"
		done
		echo nobody >"$bed/pool.holder" ;;
	import)
		is_imported && { echo "no pools available to import" >&2; exit 1; }
		cat <<-END
			  pool: OpsCenter
			    id: 8732654879135792468
			 state: ONLINE
		END
		if [ "$(cat "$bed/pool.holder")" = nobody ]; then
			echo "action: The pool can be imported using its name or numeric identifier."
		else
			cat <<-END
				status: The pool was last accessed by another system.
				action: The pool can be imported using its name or numeric identifier and
				        the '-f' flag.
				   see: http://www.sun.com/msg/ZFS-8000-EY
			END
		fi
		cat <<-END
			config:

			        OpsCenter   ONLINE
			          c2t0d0    ONLINE
		END
		;;
	"import -N -o cachefile=none 8732654879135792468")
		[ "$(cat "$bed/pool.holder")" = nobody ] || { echo "cannot import 'OpsCenter': pool may be in use from other system" >&2; exit 1; }
		echo "$host" >"$bed/pool.holder" ;;
	"import -N -o cachefile=none -f 8732654879135792468") echo "$host" >"$bed/pool.holder" ;;
	*) exit 2 ;;
	esac ;;
*) exit 97 ;;
esac
