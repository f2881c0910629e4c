# The zpool of the scenarios: one pool on two disks that both hosts see, in the words of the real one.
# What is true stands in files of the bed: `label` (state, transaction group, hostid, host), `imported.HOST`
# (the health), `alive.HOST` (it writes), `trouble` (what goes wrong, once and for all).
me=$(uname -n)
read -r state txg holderid holder <"$B/label"
trouble=$(cat "$B/trouble" 2>/dev/null)
case $me in ec1) hostid=15466497 ;; *) hostid=15466498 ;; esac
[ ! -e "$B/hostid" ] || read -r hostid <"$B/hostid"

label() { echo "$1 $((txg + 4)) $hostid $me" >"$B/label"; }

list() {
	if [ -s "$B/listing" ]; then
		cat "$B/listing"
	elif [ -e "$B/imported.$me" ]; then
		echo "no pools available to import" >&2
	elif [ "$state" = 1 ] || [ "$holder" = "$me" ]; then
		cat "$F/import-exported.txt"
	elif [ -e "$B/alive.$holder" ] && [ ! -e "$B/multihost.off" ]; then
		sed "s/from ec1/from $holder/" "$F/import-active.txt"
	else
		cat "$F/import-quiet.txt"
	fi
}

take() {
	echo "$me zpool $*" | sed "s|$B||g" >>"$B/acts"
	if [ "$state" = 0 ] && [ "$holder" != "$me" ]; then
		if [ -e "$B/alive.$holder" ] && [ ! -e "$B/multihost.off" ]; then
			cat "$F/refused-active.txt" >&2
			exit 1
		fi
		case " $* " in *" -f "*) ;; *) cat "$F/refused-quiet.txt" >&2; exit 1 ;; esac
	fi
	[ "$trouble" != "import lies" ] || exit 0
	label 0
	: >"$B/alive.$me"
	echo ONLINE >"$B/imported.$me"
}

give() {
	echo "$me zpool $*" >>"$B/acts"
	# Whatever comes of it, the exports that stand in no file are gone.
	: >"$B/etab.$me"
	case $trouble in
	"export busy") cat "$F/export-busy.txt" >&2; exit 1 ;;
	"export lies") exit 0 ;;
	"export hangs") echo SUSPENDED >"$B/imported.$me"; sleep 1000 ;;
	esac
	label 1
	rm -f "$B/imported.$me" "$B/alive.$me"
}

case "$*" in
"list -H -o name,health") [ ! -e "$B/imported.$me" ] || printf 'tank\t%s\n' "$(cat "$B/imported.$me")" ;;
"get -Hp -o value guid tank") cat "$B/guid" ;;
"get -H -o value cachefile tank") cat "$B/cachefile" ;;
"import -d $B/disks") list ;;
"import -N -o cachefile=none -d $B/disks "* | "import -f -N -o cachefile=none -d $B/disks "*) take "$@" ;;
"export tank") give "$@" ;;
*) echo "zpool $*" >>"$B/forbidden.log"; exit 97 ;;
esac
