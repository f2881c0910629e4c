# How the demo tells its story; read by the other scripts of this folder.
# shellcheck shell=sh

if [ -t 1 ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
else
	bold='' dim='' plain=''
fi

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

chapter() {
	number=$1
	shift
	printf '\n%s%s. %s%s\n' "$bold" "$number" "$*" "$plain"
}

say() { printf '%s\n' "$*"; }

# Prints a command as it would be typed; the temporary folder is left out of long paths.
prompt() { printf '\n%s%s$ %s%s\n' "$bold" "${who:+$who }" "$(printf '%s' "$*" | sed "s|$work/||g")" "$plain"; }

name_of() {
	case $1 in
	0) echo done ;;
	1) echo failed ;;
	2) echo usage ;;
	3) echo rejected ;;
	4) echo refused ;;
	5) echo "stuck: a person must look" ;;
	*) echo "not one of the statuses Orderly ends with" ;;
	esac
}

# run STATUS LINE: runs a line of shell, says how it ended, and stops where that was not expected.
run() {
	prompt "$2"
	status=0
	sh -c "$2" || status=$?
	printf '%s[exit %s: %s]%s\n' "$dim" "$status" "$(name_of "$status")" "$plain"
	if [ "$status" -ne "$1" ]; then
		printf 'demo: expected exit %s\n' "$1" >&2
		exit 1
	fi
}
