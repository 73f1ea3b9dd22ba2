

def unit(machine) -> str:
    return f"octad-{machine.name}"


def said(machine, what: str) -> int:
    "How many lines its node's journal has that match."
    return int(machine.succeed(f"journalctl -u {unit(machine)} -o cat | grep -cE '{what}' || true"))


def until(what: str, condition, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        t.assertLess(time.monotonic(), deadline, f"{what}: not within {timeout} s")
        time.sleep(0.3)


STARTED = "KafkaServer id=.* started"


def serves(machine, times: int = 1, timeout: float = 240) -> None:
    "Waits until a broker has begun to serve so often since the machine was made."
    until(f"{machine.name} serves", lambda: said(machine, STARTED) >= times, timeout)


def main_process(machine) -> int:
    return int(machine.succeed(f"systemctl show --value -p MainPID {unit(machine)}"))


def kill(machine, name: str = "KILL") -> None:
    "Kills the server itself, not what watches it."
    machine.succeed(f"systemctl kill --kill-whom=main --signal={name} {unit(machine)}")


def fenced(machine) -> int:
    "How often its dead broker's session was ended for it."
    return said(machine, "ended the dead broker.s session")


def measured(what: str) -> None:
    log.info(f"MEASURED {what}")


def cluster_starts(nodes) -> None:
    begun = time.monotonic()
    begin([*nodes, client])
    for node in nodes:
        if node.name.startswith("broker"):
            serves(node)
    client.wait_for_unit("multi-user.target", timeout=300)
    measured(f"{len(nodes)} nodes serve after {time.monotonic() - begun:.1f} s")


def zookeeper_mode(address: str) -> str:
    "`leader`, `follower`, or empty where it doesn't serve."
    answer = client.execute(f"echo srvr | timeout 5 nc -N {address} 2181")[1]
    modes = [line.removeprefix("Mode: ") for line in answer.splitlines() if line.startswith("Mode: ")]
    return modes[0] if modes else ""


def leader_of(servers: dict):
    "The machine, of servers by address, that leads the ensemble."
    for address, machine in servers.items():
        if zookeeper_mode(address) == "leader":
            return machine
    raise AssertionError("no ZooKeeper server leads")


# How many drills there were, for the names of their files.
_drills: list[str] = []


@contextmanager
def drill(what: str, options: str = "", *findings: str) -> Generator[None]:
    """
    Has octad write, read and judge on the client machine, while the body makes a fault and undoes it. Inconclusive is what no
    broker notices: then it is for the body to show that its fault had an effect.
    """
    _drills.append(what)
    here = f"/tmp/drill-{len(_drills)}"
    client.succeed(f"mkdir {here} && mkfifo {here}/marks && touch {here}/said")
    command = f"octad drill external --facts /etc/facts --yes --output json --report {here}/page.html {options}"
    # Its own end of the pipe keeps the pipe open.
    client.succeed(
        f"systemd-run --quiet --unit=drill-{len(_drills)} --setenv=HOME={here} --working-directory={here} --setenv=PATH=$PATH "
        f"$(command -v bash) -c 'exec 3<>marks; {command} <&3 >verdict.json 2>said; echo $? >code'"
    )

    def ended() -> bool:
        return client.execute(f"test -s {here}/code")[0] == 0

    def wait(condition: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while client.execute(condition)[0] != 0:
            if ended() or time.monotonic() > deadline:
                raise AssertionError(f"the drill of {what} says:\n" + client.succeed(f"cat {here}/said"))
            time.sleep(0.2)

    wait(f"grep -q 'ready' {here}/said", 240)
    client.succeed(f"echo inject >{here}/marks")
    yield
    client.succeed(f"echo heal >{here}/marks")
    until(f"the drill of {what} ends", ended, 420)
    code = int(client.succeed(f"cat {here}/code"))
    client.copy_from_machine(f"{here}/page.html")
    explained = client.succeed(f"cat {here}/said")
    text = client.succeed(f"cat {here}/verdict.json")
    t.assertNotEqual(text.strip(), "", f"no verdict of {what}, exit code {code}:\n{explained}")
    verdict = json.loads(text)["faults"][0]
    account = verdict["account"]
    measured(f"{what}: {verdict['finding']}, interrupted for {verdict['interruption_ms']} ms (idle {verdict['idle_ms']} ms), {account}")
    t.assertIn(verdict["finding"], findings or ["passed"], f"{what}: {verdict['missed']} {verdict['unseen']}\n{explained}")
