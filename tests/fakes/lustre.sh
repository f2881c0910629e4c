# A stand-in for clush and for nodes that have Lustre mounted, neither of them: `clush -S -w NODES LINE` runs the line here for
# each node, whose /proc/mounts is the file mounts/NODE, and whose mount and umount are this too. `busy/NODE` has files in use.
cd "$ORDERLY_BED"
case ${0##*/} in
clush)
	[ "$1 $2" = "-S -w" ] || exit 9
	echo "$3 $4" >>calls
	line=$(echo "$4" | sed 's| /proc/mounts| "mounts/$NODE"|')
	for NODE in $(echo "$3" | tr , ' '); do
		export NODE
		[ -e "mounts/$NODE" ] || { echo "clush: $NODE: exited with exit code 255" >&2; continue; }
		sh -c "$line" | sed "s/^/$NODE: /"
	done
	;;
umount)
	[ ! -e "busy/$NODE" ] || { echo "umount: $2: target is busy." >&2; exit 32; }
	grep -v " $2 " "mounts/$NODE" >new || :
	mv new "mounts/$NODE"
	;;
mount) [ -e "broken/$NODE" ] || echo "10.0.0.1@tcp:/scratch $2 lustre rw,flock 0 0" >>"mounts/$NODE" ;;
*) exit 9 ;;
esac
