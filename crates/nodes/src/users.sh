# Ends users' processes: TERM, a grace, KILL. Read by "sh -s MODE GRACE" on the node.
# Spared are root's, those of system accounts, and this script with all its ancestors.
mode=$1
grace=$2

min=1000
if [ -r /etc/login.defs ]; then
    while read -r key value rest; do
        case $key in UID_MIN) min=$value ;; esac
    done < /etc/login.defs
fi
[ "$min" -ge 100 ] 2> /dev/null || min=1000

spared=" "
pid=$$
while [ "$pid" -gt 1 ]; do
    spared="$spared$pid "
    parent=1
    while read -r key value rest; do
        case $key in PPid:) parent=$value ;; esac
    done 2> /dev/null < "/proc/$pid/status"
    pid=$parent
done

# People have uids from UID_MIN; 61184 to 65535 are systemd's dynamic users and nobody.
person() {
    [ "$1" -ge "$min" ] || return 1
    [ "$1" -lt 61184 ] || [ "$1" -gt 65535 ]
}

# In a login session: it has an audit login, a session's control group, or a terminal.
in_session() {
    login=4294967295
    read -r login 2> /dev/null < "$1/loginuid"
    case $login in '' | 4294967295) ;; *) return 0 ;; esac
    while read -r line; do
        case $line in */user.slice/* | */session-*.scope*) return 0 ;; esac
    done 2> /dev/null < "$1/cgroup"
    line=
    read -r line 2> /dev/null < "$1/stat"
    # After the name, which may hold anything, come state, parent, group, session and terminal.
    set -- ${line##*) }
    [ "${5:-0}" -gt 0 ]
}

find_users() {
    found=
    count=0
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        case $spared in *" $pid "*) continue ;; esac
        state=
        real=
        effective=
        while read -r key one two rest; do
            case $key in
                State:) state=$one ;;
                Uid:)
                    real=$one
                    effective=$two
                    break
                    ;;
            esac
        done 2> /dev/null < "$folder/status"
        [ -n "$effective" ] || continue
        case $state in Z | X) continue ;; esac
        person "$real" || continue
        person "$effective" || continue
        [ "$mode" = nonroot ] || in_session "$folder" || continue
        found="$found $pid"
        count=$((count + 1))
    done
}

find_users
if [ "$count" -eq 0 ]; then
    echo "orderly: no users' processes"
    exit 0
fi
first=$count
kill -TERM $found 2> /dev/null
while [ "$grace" -gt 0 ]; do
    sleep 1
    grace=$((grace - 1))
    find_users
    if [ "$count" -eq 0 ]; then
        echo "orderly: $first users' processes ended"
        exit 0
    fi
done
killed=$count
# Three rounds: what is born while others are killed is met by the next.
for round in 1 2 3; do
    kill -KILL $found 2> /dev/null
    sleep 1
    find_users
    if [ "$count" -eq 0 ]; then
        echo "orderly: $first users' processes ended, $killed of them killed"
        exit 0
    fi
done
echo "orderly: $count users' processes are left"
echo "users' processes cannot be ended:$found" >&2
exit 1
