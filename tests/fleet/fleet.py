"""
A fleet as seen from outside: where it keeps its state, which processes are its own, how to enter and how to end it.

All that a fleet has of the kernel's lives and dies with its processes: mounts and interfaces are in namespaces of its own, and
loop devices detach themselves. Its processes are in one control group, whatever became of who started them.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Set
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

REPOSITORY = Path(__file__).resolve().parents[2]
FLEETS = REPOSITORY / "target/fleet"
MACHINE = REPOSITORY / "tests/fleet/machine.py"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def fail(what: str, hint: str = "", code: int = 1) -> NoReturn:
    print(f"error: {what}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    sys.exit(code)


def named(mount_at: str) -> str:
    "A path as the kernel writes it in lists of mounts."
    return mount_at.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")


def control_groups() -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, at, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            return Path(at)
    fail("no control groups of version 2 are mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")


class Fleet:
    "A fleet by the folder of its state, whether it is up or not."

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        # Two folders, two fleets.
        self.name = f"octad-fleet-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"
        self.group = control_groups() / self.name
        self.marker = self.folder / "octad-fleet"

    @classmethod
    def existing(cls) -> "Fleet":
        "The one that FLEET names, else the only one there is."
        if given := os.environ.get("FLEET"):
            return cls(Path(given))
        there = cls.all()
        if len(there) == 1:
            return cls(there[0])
        names = ", ".join(f"FLEET={folder}" for folder in there)
        fail("no fleet is up" if not there else "there are several fleets", f"name one: {names}" if there else "tests/fleet/up")

    @staticmethod
    def all() -> list[Path]:
        "The folders of those that FLEET didn't put elsewhere."
        return sorted(FLEETS.iterdir()) if FLEETS.is_dir() else []

    def description(self) -> dict:
        return json.loads((self.folder / "fleet.json").read_text())

    def processes(self) -> list[int]:
        found = []
        for file in self.group.rglob("cgroup.procs") if self.group.is_dir() else []:
            try:
                found += [int(pid) for pid in file.read_text().split()]
            except OSError:
                # The group went away meanwhile.
                continue
        return found

    def keeper(self) -> int | None:
        "The first process in the fleet's namespaces, which hold as long as it lives. In them its id is 1."
        for pid in self.processes():
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            ids = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
            # A machine's first process has 1 too, one namespace further down.
            if len(ids) > 1 and ids[-1] == "1" and len(ids) == len(_own_ids()) + 1:
                return pid
        return None

    def join(self, part: str = "commands") -> None:
        "Makes this process one of the fleet's, so that it ends with it."
        group = self.group / part
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.procs").write_text(str(os.getpid()))

    def entering(self, *command: str, folder: Path | None = None, environment: dict[str, str] | None = None) -> list[str]:
        "The command line that runs a command in the fleet's world and network."
        keeper = self.keeper()
        if keeper is None:
            fail(f"the fleet of {self.folder} is not up", "tests/fleet/up")
        variables = {
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PATH": f"{self.folder}/program:{PATH}",
            "TERM": os.environ.get("TERM", "dumb"),
            "FLEET": str(self.folder),
        }
        variables |= environment or {}
        settings = [f"{name}={value}" for name, value in variables.items()]
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(folder or self.folder), *command]
        return ["nsenter", f"--target={keeper}", "--mount", "--pid", "--net", "env", "-i", *settings, *inside]

    def end(self) -> list[str]:
        "Ends the fleet and removes its folder. What is left of it after a minute, which should be nothing."
        keeper = self.keeper()
        namespaces = {os.stat(f"/proc/{keeper}/ns/{kind}").st_ino for kind in ("mnt", "net", "pid")} if keeper else set()
        if self.group.is_dir():
            (self.group / "cgroup.kill").write_text("1")
        # A process that waits for a disk ends when that has written.
        deadline = time.monotonic() + 60
        self._remove_groups()
        while (left := self.left(namespaces)) and time.monotonic() < deadline:
            time.sleep(0.05)
            self._remove_groups()
        if not left:
            self.forget()
            if self.folder.exists():
                left = [f"the folder {self.folder}, in which files are no fleet's"]
        return left

    def begin(self) -> None:
        "Makes the folder and the group, which must not be there."
        try:
            self.group.mkdir()
        except FileExistsError:
            fail(f"the fleet of {self.folder} is up already, or on its way", f"FLEET={self.folder} tests/fleet/down")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise FileExistsError(f"{self.folder} isn't empty")
            self.marker.write_text(self.name)
        except OSError as error:
            self.group.rmdir()
            fail(f"no fleet can be in {self.folder}: {error}", "name an empty folder by FLEET")

    def forget(self) -> None:
        "Removes the folder; only one that `begin` made, the mark of which goes last."
        while self.marker.is_file():
            try:
                for path in self.folder.iterdir():
                    if path.is_dir():
                        shutil.rmtree(path)
                    elif path != self.marker:
                        path.unlink()
                self.marker.unlink()
            except FileNotFoundError:
                # An `up` whose fleet is ended by `down` removes it too.
                continue
        with suppress(FileNotFoundError):
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def _remove_groups(self) -> None:
        if self.group.is_dir():
            for folder, _, _ in os.walk(self.group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    # A process in it hasn't ended yet.
                    continue

    def left(self, namespaces: Set[int] = frozenset()) -> list[str]:
        "What there is of the fleet outside of its folder: its group, processes, mounts and loop devices."
        found = [f"the control group {self.group}"] if self.group.is_dir() else []
        below = named(str(self.folder))
        mounts_seen = set()
        for process in Path("/proc").iterdir():
            if not process.name.isdecimal():
                continue
            try:
                spaces = {kind: os.stat(process / "ns" / kind).st_ino for kind in ("mnt", "net", "pid")}
                if namespaces & set(spaces.values()):
                    found.append(f"process {process.name}, which is in one of its namespaces")
                if spaces["mnt"] not in mounts_seen:
                    mounts_seen.add(spaces["mnt"])
                    for line in (process / "mountinfo").read_text().splitlines():
                        root, at = line.split(" ")[3:5]
                        if any(path == below or path.startswith(f"{below}/") for path in (root, at)):
                            found.append(f"the mount {at}, which process {process.name} sees")
            except OSError:
                # It ended meanwhile.
                continue
        for file in Path("/sys/block").glob("loop*/loop/backing_file"):
            try:
                backing = file.read_text().strip().removesuffix(" (deleted)")
            except OSError:
                continue
            if Path(backing).is_relative_to(self.folder):
                found.append(f"/dev/{file.parts[3]} for {backing}")
        return found


def _own_ids() -> list[str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
