# Writes the simulated cluster: inventory.json and cluster.toml; read by demo.sh.
# shellcheck shell=sh

# 4 storage servers, 16 boot servers that boot from them, 180 nodes that boot from those.
write_inventory() {
	printf '{ "format": "orderly-inventory/1",\n  "nodes": [\n'
	number=0
	comma=
	while [ "$number" -lt 200 ]; do
		number=$((number + 1))
		if [ "$number" -le 4 ]; then
			name=$(printf 'io%d' "$number") server=0 group=storage
		elif [ "$number" -le 20 ]; then
			name=$(printf 'boot%02d' $((number - 4))) server=$(((number - 5) % 4 + 1)) group=boot
		else
			name=$(printf 'n%03d' $((number - 20))) server=$(((number - 21) % 16 + 5)) group=compute
		fi
		printf '%s    {"name": "%s", "number": %d, "boot_server": %d, "groups": ["%s"]}' \
			"$comma" "$name" "$number" "$server" "$group"
		comma=',
'
	done
	printf '\n  ] }\n'
}

write_inventory >"$work/inventory.json"

cat >"$work/etc/cluster.toml" <<END
# Nothing real is reached: power, shell and probe are simulated.
inventory = "$work/inventory.json"
log_dir = "$work/log"
sequence = { start = "$work/cstartSeq", shut = "$work/cshutSeq", subsystems = "$work/subsysSeq" }

[power]
driver = "simulator"
[shell]
driver = "simulator"
[probe]
driver = "simulator"
interval = "100ms"
[shutdown]
grace = "200ms"
settle = "500ms"
[simulator]
boot = "2s"
halt = "1s"
END
chmod 600 "$work/etc/cluster.toml"
