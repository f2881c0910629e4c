# The zdb of the scenarios: the label of the disks, as the real one prints it.
[ "$1 $2" = "-l -u" ] && [ -e "$3" ] || { echo "zdb $*" >>"$B/forbidden.log"; exit 97; }
case "$(cat "$B/trouble" 2>/dev/null)" in
"zdb fails") echo "cannot open '$3': Input/output error" >&2; exit 1 ;;
"no label") cat "$F/zdb-none.txt"; exit 2 ;;
esac
read -r state txg holderid holder <"$B/label"
text=$F/zdb-active.txt
[ "$state" = 0 ] || text=$F/zdb-exported.txt
[ ! -e "$B/multihost.off" ] || text=$F/zdb-unguarded.txt
read -r guid <"$B/guid"
sed "s/^    state: .*/    state: $state/; s/^    txg: .*/    txg: $txg/; s/^    hostid: .*/    hostid: $holderid/
	s/^    hostname: .*/    hostname: '$holder'/; s/^    pool_guid: .*/    pool_guid: $guid/" "$text"
