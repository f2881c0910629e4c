#!/bin/sh
# The hand-over where private mounts are forbidden: `alone.sh FOLDER`. One host, an asset of three words.
set -eu
work=$1
who=ec1
. "$(dirname "$0")/tell.sh"

ORDERLY_HOST=ec1
ORDERLY_STATE_DIR=$work/ec1/state
export ORDERLY_HOST ORDERLY_STATE_DIR
cd "$work"

echo held >"$work/disk/state"
echo 1 >"$work/disk/mark"
cat >"$work/bin/asset" <<END
#!/bin/sh
case \$1 in
identity) echo demo-asset ;;
state) cat "$work/disk/state" ;;
mark) cat "$work/disk/mark" ;;
take) echo held >"$work/disk/state"; echo \$((\$(cat "$work/disk/mark") + 1)) >"$work/disk/mark" ;;
release) echo free >"$work/disk/state" ;;
*) exit 2 ;;
esac
END
chmod 755 "$work/bin/asset"
cat >"$work/etc/ha.toml" <<END
platform = "linux"
[[host]]
name = "ec1"
[[host]]
name = "ec2"
[asset]
kind = "command"
identity = ["$work/bin/asset", "identity"]
state = ["$work/bin/asset", "state"]
mark = ["$work/bin/asset", "mark"]
take = ["$work/bin/asset", "take"]
release = ["$work/bin/asset", "release"]
END
chmod 600 "$work/etc/ha.toml"

run 0 "ha-release"
run 0 "ha-takeover --record ec1/state/release.json"
