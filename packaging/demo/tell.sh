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

# shorten FILE: prints a file, without its middle when it is long.
shorten() {
	lines=$(wc -l <"$1")
	if [ "$lines" -gt 30 ]; then
		head -n 10 "$1"
		printf '%s... %d lines ...%s\n' "$dim" $((lines - 18)) "$plain"
		tail -n 8 "$1"
	else
		cat "$1"
	fi
}

# run STATUS LINE: runs a line of shell, says how it ended, and stops where that was not expected.
run() {
	prompt "$2"
	status=0
	if [ -t 2 ]; then
		sh -c "$2" || status=$?
	else
		# Live progress is for terminals; elsewhere each event is a line, and 200 nodes have many.
		sh -c "$2" 2>"$work/said" || status=$?
		shorten "$work/said"
	fi
	printf '%s[exit %s: %s]%s\n' "$dim" "$status" "$(name_of "$status")" "$plain"
	if [ "$status" -ne "$1" ]; then
		printf 'demo: expected exit %s\n' "$1" >&2
		exit 1
	fi
}
