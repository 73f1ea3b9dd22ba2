# Faults for containers, of which the driver has none. `stop` and `start` are orderly, `crash` is power that is lost,
# `block` a cable that is pulled, `freeze` a machine that stands still.
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

_addresses: dict[str, str] = {}


def _in_network_of(machine, *command: str) -> str:
    target = f"--target={machine.get_systemd_process}"
    return subprocess.run(["nsenter", target, "--net", *command], check=True, capture_output=True, text=True).stdout


def _remember(machine) -> None:
    "A container that starts again has another MAC address, as no machine has: others would go on with the one that they know."
    _addresses[machine.name] = _in_network_of(machine, "ip", "-brief", "link", "show", "dev", "eth1").split()[2]


def _forget(machine) -> None:
    "The driver keeps the first process's id for ever: without this, no command reaches a container that was started again."
    machine.__dict__.pop("get_systemd_process", None)


def crash(machine) -> None:
    _remember(machine)
    os.kill(machine.get_systemd_process, signal.SIGKILL)
    machine.wait_for_shutdown()
    _forget(machine)


def stop(machine) -> None:
    _remember(machine)
    machine.shutdown()
    _forget(machine)


def start(machine) -> None:
    machine.start()
    if machine.name in _addresses:
        _in_network_of(machine, "ip", "link", "set", "dev", "eth1", "address", _addresses[machine.name])
    machine.wait_for_unit("multi-user.target", timeout=120)


def block(machine) -> None:
    subprocess.run(["ip", "link", "set", f"{machine.name}-eth1", "down"], check=True)


def unblock(machine) -> None:
    subprocess.run(["ip", "link", "set", f"{machine.name}-eth1", "up"], check=True)


def _freezer(machine, value: str) -> None:
    groups = open(f"/proc/{machine.get_systemd_process}/cgroup").read().splitlines()
    group = next(g for g in groups if g.startswith("0::")).removeprefix("0::").removesuffix("/init.scope")
    with open(f"/sys/fs/cgroup{group}/cgroup.freeze", "w") as file:
        file.write(value)


def freeze(machine) -> None:
    _freezer(machine, "1")


def thaw(machine) -> None:
    _freezer(machine, "0")


def format_disk(machine, node: str, leave: str) -> None:
    "What octad-format-data-disk does, with a directory in place of a device."
    machine.succeed(f"umount /var/lib/octad; rm -rf /data/{node}; mkdir -p /data/{node}; echo {leave} >/data/{node}/octad-fresh")
    machine.succeed("systemctl start var-lib-octad.mount")


def lose_disk(machine, node: str) -> None:
    "Another disk, on which nothing is and which nobody formatted for this."
    machine.succeed(f"umount /var/lib/octad; rm -rf /data/{node}; mkdir -p /data/{node}; systemctl start var-lib-octad.mount")


def _listen(machine) -> None:
    """
    Takes what a container's systemd tells of itself. The driver reads it only until the container is ready; with ten more
    messages, as of a service that is started again and again, systemd waits for a reader for ever.
    """
    while True:
        if "get_systemd_process" in machine.__dict__:
            try:
                machine.machine_sock.recv(4096)
                continue
            except OSError:
                pass
        time.sleep(0.1)


def begin(machines) -> None:
    "Starts machines for the first time."
    for machine in machines:
        machine.start()
        threading.Thread(target=_listen, args=[machine], daemon=True).start()
