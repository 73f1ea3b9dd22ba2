"""
What trials on a fleet are made of: commands to its machines, and parts that run one after the other on a fleet of their own.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fleet import fail

HERE = Path(__file__).resolve().parent
HOSTS = [f"broker-{number}" for number in range(1, 6)] + [f"zk-{number}" for number in range(1, 4)]


def tool(name: str, *words: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HERE / name, *words], text=True, stdout=subprocess.PIPE, **more)


def within(*words: str) -> str:
    done = tool("within", *words)
    if done.returncode:
        fail(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def on(host: str, command: str) -> str:
    done = tool("ssh", host, command)
    if done.returncode:
        fail(f"{command} on {host} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def node(verb: str, *hosts: str) -> None:
    if tool("node", verb, *hosts).returncode:
        fail(f"tests/fleet/node {verb} {' '.join(hosts)}")


def expect(truth: object, what: str, *told: object) -> None:
    if not truth:
        fail(f"{what}: {' '.join(map(str, told))}")


def run(
    parts: list[Callable[[], str]],
    up: list[str],
    after_each: Callable[[], None] = lambda: None,
    at_last: Callable[[], None] = lambda: None,
    first: Callable[[], str] | None = None,
) -> None:
    """
    Brings a fleet up by these words, or takes the one that FLEET names, runs the parts that the command line names, or all. On
    a fleet of its own, `first` comes first whatever is named.
    """
    program = Path(sys.argv[0]).name
    match sys.argv[1:]:
        case [nixpkgs, world, *names]:
            known = {part.__name__: part for part in parts}
            if unknown := [name for name in names if name not in known]:
                fail(f"there is no part {unknown[0]}", f"there are: {', '.join(known)}", 64)
            chosen = [known[name] for name in names] or parts
        case _:
            fail("a nixpkgs and a world are needed", f"tests/fleet/{program} NIXPKGS WORLD [PART…]", 64)
    with tempfile.TemporaryDirectory() as scratch:
        stays = "FLEET" in os.environ
        os.environ.setdefault("FLEET", f"{scratch}/fleet")
        try:
            if not stays and tool("up", *up, nixpkgs, world).returncode:
                sys.exit(1)
            if first and first not in chosen and not stays:
                first()
            for part in chosen:
                begun = time.monotonic()
                said = part()
                after_each()
                print(f"{part.__name__.replace('_', ' ')}: {said} ({time.monotonic() - begun:.0f} s)", flush=True)
        finally:
            at_last()
            if not stays:
                tool("down")
