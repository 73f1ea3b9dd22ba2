#!/usr/bin/env python3
"""
What is done within a fleet's namespaces, for tests/fleet/up and tests/fleet/node:

    machine.py keep                the fleet's first process: makes the network and holds all that is below it
    machine.py make                makes keys and disks, from the systems in systems.json
    machine.py run NODE            is the power supply of a machine: boots it again for as long as it reboots
    machine.py VERB NODE…          the verbs of tests/fleet/node
"""

import errno
import fcntl
import ipaddress
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

FLEET = Path(os.environ["FLEET"])
DESCRIPTION = json.loads((FLEET / "fleet.json").read_text())
GROUPS = Path("/sys/fs/cgroup") / DESCRIPTION["name"] / "nodes"
BRIDGE = "octad"
PROFILE = "/nix/var/nix/profiles/system"
# Bytes. Files with holes: they take what is written.
ROOT_SIZE = 8 << 30
DATA_SIZE = 8 << 30
# What systemd-nspawn ends with when the machine rebooted.
REBOOTED = 133

# From linux/loop.h and xfs_fs.h.
LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
LO_FLAGS_AUTOCLEAR = 4
XFS_IOC_GOINGDOWN = 0x8004587D
XFS_FSOP_GOING_FLAGS_NOLOGFLUSH = 2


def run(*command: str, **more) -> str:
    "What a command says, which must succeed."
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def until(what: str, condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def locked(file: IO) -> bool:
    "Takes a lock, which is let go with the file. False where another process has it."
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Node:
    "A machine by its name, whether it is on or not."

    def __init__(self, name: str) -> None:
        if name not in DESCRIPTION["hosts"]:
            sys.exit(f"error: there is no machine {name}\nhint: there are {', '.join(DESCRIPTION['hosts'])}")
        host = DESCRIPTION["hosts"][name]
        self.name = name
        self.index: int = host["index"]
        self.address: str = host["address"]
        self.disk: str | None = host["disk"]
        self.folder = FLEET / "nodes" / name
        self.root = Path("/run/fleet") / name
        self.group = GROUPS / name
        self.port = f"port-{self.index}"

    def lock(self) -> IO:
        "Held by who runs the machine."
        return open(self.folder / "lock", "w")

    def running(self) -> bool:
        with self.lock() as lock:
            return not locked(lock)

    def leader(self) -> int | None:
        "The machine's first process, which has 1 in its own namespace."
        for file in self.group.rglob("cgroup.procs"):
            for pid in file.read_text().split():
                try:
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                except OSError:
                    continue
                if next(line for line in lines if line.startswith("NSpid:")).split()[2:] == ["1"]:
                    return int(pid)
        return None

    def within(self, *command: str) -> None:
        "Runs a command on the machine, also where its network is cut. What it says counts only where it fails."
        leader = self.leader()
        path = "/run/current-system/sw/bin:/usr/bin:/usr/sbin"
        entering = ["nsenter", f"--target={leader}", "--all", "/usr/bin/env", "-i", "HOME=/root", f"PATH={path}"]
        done = subprocess.run([*entering, *command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise RuntimeError(f"{command[0]} on {self.name} ended with {done.returncode}: {done.stdout}")

    def answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def file_systems(self) -> list[Path]:
        "The machine's own, as seen from here."
        data = Path(f"/proc/{self.leader()}/root/var/lib/octad")
        return [self.root] + ([data] if self.disk and data.is_dir() and data.stat().st_dev != self.root.stat().st_dev else [])


# Disks


def attach(image: Path) -> tuple[int, str]:
    "A loop device of an image, for as long as the descriptor is open or the device mounted."
    with open(image, "r+b") as backing, open("/dev/loop-control") as control:
        while True:
            device = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            info = struct.pack("=5Q4I64s64s32s2Q", 0, 0, 0, 0, 0, 0, 0, 0, LO_FLAGS_AUTOCLEAR, os.fsencode(image.name), b"", b"", 0, 0)
            try:
                fcntl.ioctl(descriptor, LOOP_CONFIGURE, struct.pack("=2I", backing.fileno(), 512) + info + bytes(64))
            except OSError as error:
                os.close(descriptor)
                if error.errno == errno.EBUSY:
                    # Somebody else took it.
                    continue
                raise
            return descriptor, device


def detach(descriptor: int, device: str) -> None:
    "Lets a loop device go, and waits until whoever still had it mounted has ended."
    os.close(descriptor)
    until(f"{device} is free", lambda: not Path(f"/sys/block/{Path(device).name}/loop/backing_file").exists(), 20)


def make(node: Node, system: str) -> None:
    "Both disks of a machine: on the first a file system with the system in a store of its own, on the other nothing."
    node.folder.mkdir(parents=True)
    for image, size in (("root.img", ROOT_SIZE), ("data.img", DATA_SIZE)):
        with open(node.folder / image, "wb") as file:
            file.truncate(size)
    run("mkfs.xfs", "-q", "-L", "nixos", str(node.folder / "root.img"))
    descriptor, device = attach(node.folder / "root.img")
    node.root.mkdir(parents=True)
    run("mount", "-o", "noatime", device, str(node.root))
    try:
        fill_root(node, system)
    finally:
        run("umount", str(node.root))
        detach(descriptor, device)


def fill_root(node: Node, system: str) -> None:
    "What an installation leaves: the system and its registration in the machine's own store, its profile, its keys."
    for folder in ("etc/ssh", "nix/store", "nix/var/nix/profiles", "nix/var/nix/gcroots", "root", "usr/bin", "var"):
        (node.root / folder).mkdir(parents=True)
    (node.root / "root").chmod(0o700)
    (node.root / "nix/store").chmod(0o1775)
    (node.root / "etc/NIXOS").touch()

    closure = run("nix-store", "--query", "--requisites", system).split()
    run("cp", "--archive", *closure, str(node.root / "nix/store"))
    registration = run("nix-store", "--dump-db", *closure)
    run("nix-store", "--store", str(node.root), "--load-db", input=registration)
    profile = node.root / PROFILE[1:]
    profile.with_name("system-1-link").symlink_to(system)
    profile.symlink_to("system-1-link")
    (node.root / "nix/var/nix/gcroots/profiles").unlink(missing_ok=True)
    (node.root / "nix/var/nix/gcroots/profiles").symlink_to("/nix/var/nix/profiles")

    key = node.root / "etc/ssh/ssh_host_ed25519_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", node.name, "-f", str(key))
    shutil.copy(FLEET / "key.pub", node.root / "etc/ssh/authorized_keys")
    kind, public, _ = key.with_suffix(".pub").read_text().split()
    (node.folder / "known_host").write_text(f"{node.name},{node.address} {kind} {public}\n")


def make_all() -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", DESCRIPTION["name"], "-f", str(FLEET / "key"))
    nodes = [Node(name) for name in DESCRIPTION["hosts"]]
    systems = json.loads((FLEET / "systems.json").read_text())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda node: make(node, systems[node.name]), nodes))
    (FLEET / "known_hosts").write_text("".join((node.folder / "known_host").read_text() for node in nodes))
    hosts = "".join(f"Host {node.name}\n  HostName {node.address}\n" for node in nodes)
    (FLEET / "ssh_config").write_text(
        f'{hosts}Host *\n  User root\n  IdentityFile "{FLEET}/key"\n  IdentitiesOnly yes\n'
        f'  UserKnownHostsFile "{FLEET}/known_hosts"\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n'
    )


# Power


def keep() -> None:
    network = ipaddress.ip_network(DESCRIPTION["network"])
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{DESCRIPTION['address']}/{network.prefixlen}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    # Else systemd-nspawn waits for a udev that has seen the interface.
    run("mount", "-o", "remount,bind,ro", "/sys")
    # What machines write over /usr, which can't be on an overlay.
    run("mount", "-t", "tmpfs", "tmpfs", "/var/tmp")
    # Cables by the bridge's ports, not by interfaces, which a machine brings anew at each boot.
    drop = "iifname @cut drop; oifname @cut drop;"
    chains = "".join(f"chain {hook} {{ type filter hook {hook} priority 0; {drop} }}\n" for hook in ("forward", "input", "output"))
    run("nft", "--file", "-", input=f"table bridge {BRIDGE} {{ set cut {{ type ifname; }}\n{chains} }}")
    (FLEET / "kept").touch()
    # Whose parents ended are this one's children.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigwait([signal.SIGCHLD])


def boot(node: Node, disk: str | None) -> int:
    "Runs the machine from power on to its end."
    nic = f"nic-{node.index}"
    run("ip", "link", "add", node.port, "type", "veth", "peer", "name", nic, "address", f"02:0c:7a:d0:00:{node.index:02x}")
    run("ip", "link", "set", node.port, "master", BRIDGE, "up")
    node.group.mkdir(parents=True, exist_ok=True)
    # An uptime of its own, as machines have it that weren't switched on at once.
    ahead = node.index * 100_000
    command = ["unshare", "--time", f"--monotonic={ahead}", f"--boottime={ahead}", "--fork", "--kill-child"]
    command += ["systemd-nspawn", f"--directory={node.root}", f"--machine={node.name}", "--quiet", "--console=pipe"]
    command += ["--keep-unit", "--register=no", "--private-users=no", "--link-journal=no", "--resolv-conf=off", "--timezone=off"]
    # Writable, so that activation makes /bin/sh and /usr/bin/env as ever: systemd-nspawn links /bin to /usr/bin.
    command += ["--overlay=/usr::/usr", "--bind-ro=/usr/lib:/lib", "--bind-ro=/usr/lib64:/lib64", f"--network-interface={nic}:eth0"]
    if disk:
        command += [f"--bind={disk}:{node.disk}"]
    command += [f"{PROFILE}/init"]
    try:
        return subprocess.run(["sh", "-c", f'echo $$ >"{node.group}/cgroup.procs" && exec "$@"', "sh", *command]).returncode
    finally:
        # What it left running where it was killed itself.
        (node.group / "cgroup.kill").write_text("1")
        until(f"nothing of {node.name} runs", lambda: "populated 0" in (node.group / "cgroup.events").read_text(), 60)
        for folder, _, _ in os.walk(node.group, topdown=False):
            os.rmdir(folder)
        subprocess.run(["ip", "link", "delete", node.port], stderr=subprocess.DEVNULL)
        # Which it removes only where it ends by itself, and without which it starts.
        exported = Path("/run/systemd/nspawn/unix-export") / node.name
        subprocess.run(["umount", str(exported)], stderr=subprocess.DEVNULL)
        if exported.is_dir():
            exported.rmdir()


def power(node: Node) -> None:
    "Holds the machine's disks and runs it, until it is switched off."
    with node.lock() as lock:
        until(f"the lock of {node.name}", lambda: locked(lock), 1)
        root = attach(node.folder / "root.img")
        data = attach(node.folder / "data.img") if node.disk else None
        node.root.mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "noatime", root[1], str(node.root))
        try:
            while boot(node, data and data[1]) == REBOOTED:
                pass
        finally:
            run("umount", str(node.root))
            for disk in (root, data):
                if disk:
                    detach(*disk)


# Verbs


def start(node: Node) -> None:
    "Switches the power on; a machine that runs is left alone."
    if node.running():
        return
    with open(node.folder / "console", "ab") as console:
        command = [sys.executable, __file__, "run", node.name]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)
    until(f"{node.name} is on", lambda: node.running() or process.poll() is not None, 20)


def wait(node: Node) -> None:
    "Waits until it answers on SSH, for at most two minutes."
    until(f"{node.name} answers on {node.address}:22", lambda: node.answers() or not node.running(), 120)
    if not node.running():
        raise ChildProcessError(f"{node.name} is off; its last words: {(node.folder / 'console').read_text()[-600:]}")


def stop(node: Node) -> None:
    "An orderly shutdown."
    if leader := node.leader():
        # What systemd takes for `poweroff`.
        os.kill(leader, signal.SIGRTMIN + 4)
    until(f"{node.name} is off", lambda: not node.running(), 330)


def power_off(node: Node) -> None:
    "Power lost, from one instant to the next: all its processes die, and what its disks weren't told to keep is gone."
    if not node.running():
        return
    freeze(node)
    for file_system in node.file_systems():
        descriptor = os.open(file_system, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(descriptor, XFS_IOC_GOINGDOWN, struct.pack("=I", XFS_FSOP_GOING_FLAGS_NOLOGFLUSH))
        os.close(descriptor)
    (node.group / "cgroup.kill").write_text("1")
    until(f"{node.name} is off", lambda: not node.running(), 60)


def cut(node: Node) -> None:
    "Pulls its cable: no frame passes, nobody gets an error. Stays so when it reboots."
    run("nft", "add", "element", "bridge", BRIDGE, "cut", f"{{ {node.port} }}")


def mend(node: Node) -> None:
    "Plugs the cable in again."
    subprocess.run(["nft", "delete", "element", "bridge", BRIDGE, "cut", f"{{ {node.port} }}"], stderr=subprocess.DEVNULL)


def freeze(node: Node) -> None:
    "The whole machine stands still, as a hypervisor pauses it."
    (node.group / "cgroup.freeze").write_text("1")


def frozen(node: Node) -> bool:
    try:
        return node.running() and (node.group / "cgroup.freeze").read_text().strip() == "1"
    except FileNotFoundError:
        # It is between its lock and its group.
        return False


def thaw(node: Node) -> None:
    (node.group / "cgroup.freeze").write_text("0")


def filler(node: Node) -> Path:
    return node.file_systems()[0] / "filler"


def fill(node: Node) -> None:
    "Fills its root disk, which has the store, to the last byte."
    with open(filler(node), "wb") as file:
        size = 0
        for step in (1 << 30, 1 << 20, 1 << 12):
            while True:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                except OSError:
                    break
                size += step


def empty(node: Node) -> None:
    "Frees what `fill` took."
    filler(node).unlink(missing_ok=True)


def format_disk(node: Node) -> None:
    "Formats its data disk, by the program that the machine has for it: whoever calls this consents."
    if node.disk:
        node.within("octad-format-data-disk", node.disk)


VERBS = {
    "start": start,
    "wait": wait,
    "stop": stop,
    "power-off": power_off,
    "cut": cut,
    "mend": mend,
    "freeze": freeze,
    "thaw": thaw,
    "fill": fill,
    "empty": empty,
    "format": format_disk,
}
# Those of a machine that is on.
OF_RUNNING = ("freeze", "thaw", "fill", "empty", "format")
# Those that it has a part in: frozen, it would be waited for in vain.
OF_MOVING = ("wait", "stop", "format")


def main() -> None:
    match sys.argv[1:]:
        case ["keep"]:
            keep()
        case ["make"]:
            make_all()
        case ["run", name]:
            power(Node(name))
        case [verb, *names] if verb in VERBS and names:
            nodes = [Node(name) for name in names]
            for node in nodes:
                if verb in OF_RUNNING and node.leader() is None:
                    sys.exit(f"error: {node.name} is off\nhint: tests/fleet/node start {node.name}")
                if verb in OF_MOVING and frozen(node):
                    sys.exit(f"error: {node.name} is frozen\nhint: tests/fleet/node thaw {node.name}, or power-off")
            try:
                with ThreadPoolExecutor(len(nodes)) as pool:
                    list(pool.map(VERBS[verb], nodes))
            except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                sys.exit(f"error: {verb}: {error}")
        case _:
            print(f"usage: tests/fleet/node {'|'.join(VERBS)} NODE…", file=sys.stderr)
            sys.exit(64)


if __name__ == "__main__":
    main()
