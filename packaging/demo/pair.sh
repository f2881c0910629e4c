# Finds out whether this machine allows private hosts, and writes what the pair needs; read by demo.sh.
# shellcheck shell=sh

# Sets private_host to a command that runs another one as a host of its own: as root, or as a user
# who is allowed to be root in a namespace.
find_private_hosts() {
	for options in "-m -p -u -n -f --mount-proc" "-U -r -m -p -u -n -f --mount-proc"; do
		private_host="unshare $options --propagation private"
		if $private_host sh -c : 2>/dev/null; then
			return 0
		fi
	done
	return 1
}

# Each host sees its own disk at /mnt; whoever holds the asset sees it at /mnt/asset.
for host in ec1 ec2; do
	for folder in asset conf opt running state; do
		mkdir -p "$work/$host/$folder"
	done
	: >"$work/$host/exported"
	cat /proc/sys/kernel/random/uuid >"$work/$host/boot_id"
done
echo "license = 4711" >"$work/ec1/conf/controller.conf"
mkdir -p "$work/bin" "$work/disk/opt" "$work/disk/share"
mkdir -m 700 "$work/disk/snapshots"
echo "what all of this is about" >"$work/disk/data"

# A service is a file that says it runs; a share is a line in a file.
cat >"$work/bin/service" <<END
#!/bin/sh
case \$2 in
status) if [ -e "/mnt/running/\$1" ]; then echo online; else echo offline; fi ;;
start) : >"/mnt/running/\$1" ;;
stop) rm -f "/mnt/running/\$1" ;;
*) exit 2 ;;
esac
END
cat >"$work/bin/share" <<END
#!/bin/sh
case \$1 in
list) cat "/mnt/exported" ;;
add) echo "/mnt/asset/share" >"/mnt/exported" ;;
remove) : >"/mnt/exported" ;;
*) exit 2 ;;
esac
END
chmod 755 "$work/bin/service" "$work/bin/share"

cat >"$work/etc/ha.toml" <<END
platform = "linux"
[[host]]
name = "ec1"
[[host]]
name = "ec2"

[asset]
kind = "bind"
source = "$work/disk"
[[asset.mount]]
at = "/mnt/asset"

[[service]]
name = "proxy controller"
status = ["$work/bin/service", "proxy", "status"]
stop = ["$work/bin/service", "proxy", "stop"]
start = ["$work/bin/service", "proxy", "start"]
[[service]]
name = "enterprise controller"
status = ["$work/bin/service", "enterprise", "status"]
stop = ["$work/bin/service", "enterprise", "stop"]
start = ["$work/bin/service", "enterprise", "start"]

[[loopback]]
source = "/mnt/asset/opt"
at = "/mnt/opt"

[[share]]
path = "/mnt/asset/share"
clients = ["*"]
options = "ro"
list = ["$work/bin/share", "list"]
add = ["$work/bin/share", "add"]
remove = ["$work/bin/share", "remove"]

[backup]
directory = "/mnt/asset/snapshots"
include = ["/mnt/conf"]
END
chmod 600 "$work/etc/ha.toml"
