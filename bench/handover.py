"""handover: a release and the takeover after it, beside the same commands run by hand.

The asset is a bind mount with three loopback mounts, one share and two services; services and share are
small shell scripts, the same for both. Without a backup. Needs root; the mounts are in a mount namespace of the
bench's own. What ours does beyond the commands is what the difference pays for: it looks before and after each
step, writes a journal that is synced, and proves that nothing holds the asset.
"""

import os
import subprocess
import sys
import tempfile

import measure

LOOPBACKS = ("a", "b", "c")
SERVICES = ("proxy", "controller")
SCRIPT = """#!/bin/sh
case $2 in
status) [ -e "$0.$1" ] && echo online || echo offline ;;
list) [ ! -e "$0.$1" ] || echo "$3" ;;
start) : >"$0.$1" ;;
stop) rm -f "$0.$1" ;;
esac
"""


def quoted(words):
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def configuration(folder, script):
    """Returns ha.toml."""
    text = f'[[host]]\nname = "bench1"\n[[host]]\nname = "bench2"\n[asset]\nkind = "bind"\nsource = "{folder}/source"\n'
    text += f'[[asset.mount]]\nat = "{folder}/at"\n'
    for name in SERVICES:
        text += f'[[service]]\nname = "{name}"\n'
        text += "".join(f"{verb} = {quoted([script, name, verb])}\n" for verb in ("status", "stop", "start"))
    for name in LOOPBACKS:
        text += f'[[loopback]]\nsource = "{folder}/at/{name}"\nat = "{folder}/{name}"\n'
    path = f"{folder}/at/a"
    text += f'[[share]]\npath = "{path}"\nclients = ["*"]\n'
    for key, verb in (("list", "list"), ("add", "start"), ("remove", "stop")):
        text += f"{key} = {quoted([script, 'share', verb, path])}\n"
    return text


def by_hand(folder, script):
    """Returns the commands of a release and a takeover, as somebody would type them."""
    lines = [f"{script} {name} stop" for name in SERVICES]
    lines += [f"umount {folder}/{name}" for name in reversed(LOOPBACKS)]
    lines += [f"{script} share stop", f"umount {folder}/at", f"mount --bind {folder}/source {folder}/at"]
    lines += [f"mount --bind {folder}/at/{name} {folder}/{name}" for name in LOOPBACKS]
    lines += [f"{script} share start"] + [f"{script} {name} start" for name in reversed(SERVICES)]
    return " && ".join(lines)


def held(folder, script):
    """What of the asset is there: its mount points and what runs."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        points = [line.split()[4] for line in table]
    mounts = {f"{folder}/{name}" for name in ("at", *LOOPBACKS)}
    names = [name for name in (*SERVICES, "share") if os.path.exists(f"{script}.{name}")]
    return sorted(point for point in points if point in mounts), names


def expect(folder, script, who, all_of_it):
    """Ends the bench unless everything of the asset is there, once, or nothing."""
    want = (sorted(f"{folder}/{name}" for name in ("at", *LOOPBACKS)), [*SERVICES, "share"]) if all_of_it else ([], [])
    if held(folder, script) != want:
        measure.wrong(f"after {who} there is {held(folder, script)}")


def main():
    measure.privately("handover")
    report = measure.Report("handover", "ha-release and ha-takeover of a bind mount, beside the bare commands")
    with tempfile.TemporaryDirectory() as folder:
        script, config = os.path.join(folder, "svc"), os.path.join(folder, "ha.toml")
        for name in ("at", "source", *LOOPBACKS, *(f"source/{name}" for name in LOOPBACKS)):
            os.mkdir(os.path.join(folder, name))
        with open(script, "w", encoding="utf-8") as out:
            out.write(SCRIPT)
        os.chmod(script, 0o755)
        with open(config, "w", encoding="utf-8") as out:
            out.write(configuration(folder, script))
        os.environ["ORDERLY_HOST"], os.environ["ORDERLY_STATE_DIR"] = "bench1", os.path.join(folder, "state")
        release, takeover = measure.built("ha-release"), measure.built("ha-takeover")
        ours = f"{release} --config {config} -q && {takeover} --config {config} -q"
        mounts = [f"mount --bind {folder}/source {folder}/at"]
        mounts += [f"mount --bind {folder}/at/{name} {folder}/{name}" for name in LOOPBACKS]
        mounts += [f"{script} {name} start" for name in (*SERVICES, "share")]
        subprocess.run(["sh", "-c", " && ".join(mounts)], check=True)
        contenders = [("by hand", ["sh", "-c", by_hand(folder, script)], None), ("ours", ["sh", "-c", ours], None)]
        try:
            expect(folder, script, "the preparation", True)
            measure.output([release, "--config", config, "-q"])
            expect(folder, script, "ha-release", False)
            measure.output([takeover, "--config", config, "-q"])
            expect(folder, script, "ha-takeover", True)
            after = lambda who: expect(folder, script, who, True)
            best = measure.beside(contenders, int(os.environ.get("ROUNDS", "10")), after=after)
        finally:
            for name in (*LOOPBACKS, "at"):
                subprocess.run(["umount", os.path.join(folder, name)], check=False)
    report.table("there and back", best, "by hand")
    hand = best["by hand"][0]
    over = best["ours"][0] - hand
    words = f"{over * 1000:.0f} ms ({over / hand:.0%}) more than by hand"
    report.goal("overhead_ms", round(over * 1000, 1), words, "under 10% or 40 ms", over < max(0.04, 0.1 * hand))
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
