# Faults for virtual machines. `stop` and `start` are orderly, `crash` is power that is lost, `block` a cable that is
# pulled, `freeze` a machine that stands still.
import json
import time
from collections.abc import Generator
from contextlib import contextmanager


def crash(machine) -> None:
    machine.crash()


def stop(machine) -> None:
    machine.shutdown()


def start(machine) -> None:
    machine.start()
    machine.wait_for_unit("multi-user.target", timeout=300)


def block(machine) -> None:
    machine.block()


def unblock(machine) -> None:
    machine.unblock()


def freeze(machine) -> None:
    machine.send_monitor_command("stop")


def thaw(machine) -> None:
    machine.send_monitor_command("cont")


def format_disk(machine, node: str, leave: str) -> None:
    refill = "--refill" if leave == "refill" else ""
    machine.succeed("umount /var/lib/octad || true; wipefs --all /dev/vdb")
    machine.succeed(f"octad-format-data-disk {refill} /dev/vdb {node}")
    machine.succeed("systemctl start var-lib-octad.mount", timeout=120)


def lose_disk(machine, node: str) -> None:
    "Another disk, on which nothing is and which nobody formatted for this."
    machine.succeed("umount /var/lib/octad; mkfs.xfs -f -L octad-data /dev/vdb")
    machine.succeed("systemctl start var-lib-octad.mount", timeout=120)
    machine.succeed(f"mkdir /var/lib/octad/{node}")


def begin(machines) -> None:
    "Starts machines for the first time, and formats their disks, upon which their nodes start."
    for machine in machines:
        machine.start()
    for machine in machines:
        machine.wait_for_unit("multi-user.target", timeout=300)
        if machine.execute("test -e /etc/octad")[0] == 0:
            machine.succeed("octad-format-data-disk /dev/vdb")
