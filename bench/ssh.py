"""ssh: 256 nodes are asked by a login each, 64 at once, beside clush, pdsh and xargs with ssh.

The logins are real ones: one sshd in network, mount and process namespaces of its own answers at 256 addresses of their
loopback, takes one key alone, and runs nothing but what ours and its peers ask a node by, `true`; what halts a machine is
shadowed there all the same. Ours is `cstartup -k` with a shell probe, through ssh, clush and pdsh. Every login is counted
at the sshd. Needs root. Set NODES for another number.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

import measure

NODES = int(os.environ.get("NODES", "256"))
FANOUT = 64
SHADOWED = ("halt", "init", "poweroff", "reboot", "shutdown", "systemctl", "telinit")

# Only what asks is run: what cstartup sends stands between its two marks and ends in `true`.
FORCED = """#!/bin/sh
echo login >>"{logins}"
case $SSH_ORIGINAL_COMMAND in
*shutdown* | *halt* | *reboot* | *poweroff* | *systemctl*) exit 1 ;;
*true*) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
exit 1
"""


def address(number):
    return f"127.88.{number // 200}.{1 + number % 200}"


def write(path, text, mode=0o600):
    """Writes a file that nobody else may read; its path."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)
    return path


def shadow():
    """Hides in this mount namespace what halts a machine, and what bash runs at each login; a directory for sshd."""
    for program in SHADOWED:
        path = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
        if path:
            subprocess.run(["mount", "--bind", shutil.which("true"), os.path.realpath(path)], check=True)
    for startup in (os.path.join(pwd.getpwuid(0).pw_dir, ".bashrc"), "/etc/bash.bashrc"):
        if os.path.isfile(startup):
            subprocess.run(["mount", "--bind", "/dev/null", startup], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "run", "/run"], check=True)
    os.mkdir("/run/sshd", 0o755)


def start(folder, sshd):
    """Starts the sshd, with keys that are made for it; the process."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    shadow()
    for name in ("host", "key"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(folder, name)]
        subprocess.run(argv, stdin=subprocess.DEVNULL, check=True)
    forced = write(os.path.join(folder, "forced"), FORCED.format(logins=os.path.join(folder, "logins")), 0o755)
    settings = write(
        os.path.join(folder, "sshd_config"),
        f"Port 22\nListenAddress 0.0.0.0\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\nStrictModes no\n"
        "AuthenticationMethods publickey\nPermitRootLogin yes\nUsePAM no\nUseDNS no\nPidFile none\nMaxStartups 10000\n"
        f"KexAlgorithms curve25519-sha256\nPrintMotd no\nPrintLastLog no\nForceCommand {forced}\n",
    )
    write(
        os.path.join(folder, "ssh_config"),
        f"IdentityFile {folder}/key\nIdentitiesOnly yes\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n"
        "LogLevel ERROR\nBatchMode yes\nGSSAPIAuthentication no\n",
    )
    with open(os.path.join(folder, "sshd.log"), "wb") as log:
        child = subprocess.Popen([sshd, "-D", "-e", "-f", settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    login = ["ssh", "-F", os.path.join(folder, "ssh_config"), address(0), "true"]
    for _ in range(600):
        if subprocess.run(login, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return child
        if child.poll() is not None:
            break
        time.sleep(0.1)
    with open(os.path.join(folder, "sshd.log"), encoding="utf-8", errors="replace") as log:
        sys.exit(f"bench: sshd takes no login: {log.read()[-2000:]}")


def ours(folder, driver):
    """Writes what cstartup reads, with this shell driver."""
    config = os.path.join(folder, f"{driver}.toml")
    nodes = [{"name": f"n{number}", "address": address(number)} for number in range(NODES)]
    write(os.path.join(folder, "inventory.json"), json.dumps({"nodes": nodes}))
    write(os.path.join(folder, "order"), f"all: n[0-{NODES - 1}]\n")
    worker = "" if driver == "ssh" else 'worker = "ssh"\n'
    write(
        config,
        f'inventory = "{folder}/inventory.json"\nlog_dir = "{folder}/log"\nsequence.start = "{folder}/order"\n'
        f'[power]\ndriver = "none"\n[shell]\ndriver = "{driver}"\n{worker}options = ["-F", "{folder}/ssh_config"]\n'
        f'[probe]\ndriver = "shell"\n[limits]\nfanout = {FANOUT}\n',
    )
    return [measure.built("cstartup"), "--config", config, "-k", "ALL"]


def contenders_of(folder):
    """Who logs in."""
    ssh_config = os.path.join(folder, "ssh_config")
    everyone = [address(number) for number in range(NODES)]
    names = write(os.path.join(folder, "names"), "".join(f"{one}\n" for one in everyone))
    os.environ["PDSH_SSH_ARGS_APPEND"] = f"-F {ssh_config}"
    contenders = [("cstartup, ssh", ours(folder, "ssh"), None)]
    each = ["xargs", "-P", str(FANOUT), "-I", "{}", "ssh", "-F", ssh_config, "{}", "true"]
    contenders.append(("xargs ssh", each, names))
    for name, argv in [
        ("clush", ["-R", "ssh", "-o", f"-F {ssh_config}", "-f", str(FANOUT), "-w", ",".join(everyone), "true"]),
        ("pdsh", ["-R", "ssh", "-f", str(FANOUT), "-w", ",".join(everyone), "true"]),
    ]:
        if path := measure.found(name):
            contenders.append((f"cstartup, {name}", ours(folder, name), None))
            contenders.append((name, [path, *argv], None))
    return contenders


def main():
    measure.privately("ssh", "--net")
    rounds = int(os.environ.get("ROUNDS", "3"))
    sshd = measure.found("sshd")
    if not sshd or not measure.found("ssh") or not measure.found("xargs") or not shutil.which("ip"):
        measure.impossible("ssh", "needs sshd, ssh, xargs and ip")
    report = measure.Report("ssh", f"{NODES} nodes are asked by a login each, {FANOUT} at once")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
        child = start(folder, sshd)
        logins = os.path.join(folder, "logins")

        def before(_):
            open(logins, "w", encoding="utf-8").close()

        def after(name):
            with open(logins, encoding="utf-8") as lines:
                if (count := len(lines.readlines())) != NODES:
                    measure.wrong(f"{name} logs in {count} times to {NODES} nodes")

        try:
            contenders = contenders_of(folder)
            for name, argv, _ in contenders:
                if name.startswith("cstartup"):
                    plan = json.loads(measure.output([*argv, "--json"]).splitlines()[0])
                    if (up := len(plan["already_up"])) != NODES:
                        measure.wrong(f"{name} finds {up} of {NODES} nodes up")
            best = measure.beside(contenders, rounds, before, after)
        finally:
            child.kill()
            child.wait()
    report.table("ssh", best, "cstartup, ssh")
    peers = [name for name in best if not name.startswith("cstartup")]
    fastest = min(peers, key=lambda peer: best[peer][0])
    # Two runs of one program differ by 3%. Through clush or pdsh ours is measured against that program.
    for name in best:
        if name.startswith("cstartup"):
            peer = name.split()[1] if name.split()[1] in best else fastest
            words = f"{name}: {{:.2f}} times the wall time of {peer}" + (", the fastest" if peer == fastest else "")
            report.at_most(f"{name.split()[1]}_ratio", best[name][0] / best[peer][0], 1.03, words)
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
