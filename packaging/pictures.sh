#!/bin/sh
# Makes the pictures of README.md anew, in doc or the directory that is named: a rehearsal on a virtual clock, which comes
# out the same everywhere, and what a real terminal (tmux) shows of a start, which does but for its times. A test compares
# them with what the programs draw.
#     make && BIN_DIR=target/release packaging/pictures.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
BIN_DIR=$(cd "${BIN_DIR:?the folder of the built programs}" && pwd)
out=$(cd "${1:-$here/../doc}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset SP_NAME ORDERLY_INVENTORY
ORDERLY_CONFIG_DIR=$work/etc
ORDERLY_STATE_DIR=$work/state
export work ORDERLY_CONFIG_DIR ORDERLY_STATE_DIR
mkdir -p "$work/etc" "$work/state"
. "$here/demo/cluster.sh"
# As slow as real ones, and not all at once.
sed -e 's/^boot = .*/boot = "2m"/' -e '$a [limits]\nbooting = 60' "$work/etc/cluster.toml" >"$work/etc/slow.toml"
mv "$work/etc/slow.toml" "$work/etc/cluster.toml"
chmod 600 "$work/etc/cluster.toml"
cd "$work"
PATH=$BIN_DIR:$PATH
printf '%s\n' 'storage: io[1-2]' 'scratch: io[3-4]' 'boot: @boot' 'rack1: n[001-060]' 'rack2: n[061-120]' 'rack3: n[121-180]' \
	'storage, scratch > boot' 'boot(90%) > rack1, rack2, rack3' >cstartSeq

# draw FILE COMMAND...: the picture without who made it, and when.
draw() {
	file=$1
	shift
	status=0
	"$@" --rehearse --timeline drawn.svg >said 2>&1 || status=$?
	[ "$status" -le 1 ] || { cat said >&2; exit 1; }
	sed -e 's/[0-9-]* [0-9:]* by [^;<]*; //g' -e 's/ --rehearse --timeline drawn.svg//g' drawn.svg >"$out/$file"
}
draw cstartup.svg cstartup --fail boot07 ALL

# look FILE COLUMNS LINES: what a terminal of that size shows of a start that waits for some nodes, after Enter.
look() {
	sed -e 's/^boot = .*/boot = "2s"\nhang = "boot07 n[031-033]"\nfail = "boot12"/' "$work/etc/cluster.toml" >"$work/etc/hangs.toml"
	chmod 600 "$work/etc/hangs.toml"
	seqfile -i "$work/inventory.json" -o lookSeq
	printf '%s\n' 'set -g status off' 'set -g default-terminal screen-256color' 'set -g default-shell /bin/sh' >tmux.conf
	show="tmux -u -S $work/tmux.socket"
	# shellcheck disable=SC2016
	$show -f tmux.conf new-session -d -x "$2" -y "$3" \
		'printf "\$ cstartup ALL\n"; exec cstartup --config "$work/etc/hangs.toml" --sequence "$work/lookSeq" ALL'
	shows '^up 173/200, 1 failed, 11 held'
	$show send-keys Enter
	shows 'booting for up to'
	# The live line that comes after the answer.
	shows '^up 173/200, 1 failed, 11 held'
	$show capture-pane -p >screen
	end
	drawn "$2" <screen >"$out/$1"
}

# Ends the program that is shown, and waits for it: it still writes its state, which is about to be removed.
end() {
	pid=$($show display-message -p '#{pane_pid}')
	$show kill-server
	tries=0
	while [ -e "/proc/$pid/exe" ] && [ "$tries" -lt 600 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
}

# shows PATTERN: waits until a line of the screen is like that.
shows() {
	tries=0
	until $show capture-pane -p | grep -q "$1"; do
		tries=$((tries + 1))
		[ "$tries" -lt 600 ] || { echo "pictures: never shown: $1" >&2; $show capture-pane -p >&2; $show kill-server; exit 1; }
		sleep 0.2
	done
}

# drawn COLUMNS: a screen as SVG.
drawn() {
	awk -v columns="$1" '
		{ gsub(/&/, "\\&amp;"); gsub(/</, "\\&lt;"); gsub(/>/, "\\&gt;"); lines[NR] = $0 }
		END {
			while (NR > 0 && lines[NR] == "") NR--
			width = columns * 0.6024 + 2
			height = NR * 1.35 + 1.8
			printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.1fem\" height=\"%.1fem\" font-size=\"14\" role=\"img\" ", width, height
			print "aria-label=\"A start, as its terminal shows it\">"
			print "<style>text{font-family:ui-monospace,\"DejaVu Sans Mono\",Menlo,Consolas,monospace;white-space:pre;fill:#1f2328}" \
				".paper{fill:#f6f8fa;stroke:#d1d9e0}" \
				"@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.paper{fill:#0d1117;stroke:#3d444d}}</style>"
			print "<rect class=\"paper\" x=\".5\" y=\".5\" width=\"100%\" height=\"100%\" rx=\"6\" transform=\"scale(.998)\"/>"
			for (at = 1; at <= NR; at++)
				if (lines[at] != "")
					printf "<text xml:space=\"preserve\" x=\"1em\" y=\"%.2fem\">%s</text>\n", at * 1.35 + 0.55, lines[at]
			print "</svg>"
		}'
}

if command -v tmux >/dev/null; then
	look terminal.svg 96 24
else
	echo "pictures: terminal.svg is not made anew: that takes tmux" >&2
fi
