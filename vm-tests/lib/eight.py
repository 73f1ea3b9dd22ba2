

# The machines of the eight nodes: brokers by id, ZooKeeper servers by address.
brokers = {1: broker_1, 2: broker_2, 3: broker_3, 4: broker_4, 5: broker_5}
servers = {"10.77.0.11": zk_1, "10.77.0.12": zk_2, "10.77.0.13": zk_3}
nodes = [*servers.values(), *brokers.values()]


def address(number: int) -> str:
    return f"10.77.0.{100 + number}"


def metadata(of: int = 0) -> dict:
    "What a broker says of the cluster; the first that says something, unless one is meant."
    for number in [of] if of else brokers:
        code, said = client.execute(f"timeout 10 python3 /etc/metadata.py {address(number)}")
        if code == 0:
            return json.loads(said)
    return {"brokers": [], "controller": -1, "partitions": []}


def controller() -> int:
    return metadata()["controller"]


def plain_broker() -> int:
    "A broker that isn't the controller."
    return next(number for number in brokers if number != controller())


def create_topic(name: str, replicas: int = 3) -> None:
    client.succeed(f"python3 /etc/metadata.py {address(controller())} 9092 {name} 5 {replicas}")


def whole() -> bool:
    "Whether all brokers are registered and every partition has all its replicas in sync."
    seen = metadata()
    lacking = [entry for entry in seen["partitions"] if len(entry["isr"]) < len(entry["replicas"])]
    return seen["brokers"] == list(brokers) and lacking == []


def is_whole(timeout: float = 180) -> None:
    until("the cluster is whole", whole, timeout)


def without(number: int, timeout: float = 60) -> float:
    "Waits until a broker is registered no more, as another one says; how long that took."
    begun = time.monotonic()
    other = next(one for one in brokers if one != number)
    until(f"broker {number} is gone", lambda: number not in metadata(other)["brokers"], timeout)
    return time.monotonic() - begun


def broker_crash(number: int, what: str) -> None:
    "A killed broker is fenced within seconds, and comes back."
    machine = brokers[number]
    before, fences = said(machine, STARTED), fenced(machine)
    with drill(what, "--max-interruption 15s"):
        kill(machine)
        serves(machine, before + 1)
    t.assertEqual(fenced(machine), fences + 1)
    is_whole()


def controller_crash() -> None:
    "Another broker takes over."
    number = controller()
    broker_crash(number, "controller-crash")
    t.assertNotEqual(controller(), number)


def zookeeper_leader_crash() -> None:
    "The ensemble elects another leader, and no broker leaves."
    leader = leader_of(servers)
    with drill("zookeeper-leader-crash", "--max-interruption 15s", "passed", "inconclusive"):
        # Kept down for a while, so that another must lead.
        leader.succeed(f"systemctl kill --signal=KILL {unit(leader)}; systemctl stop {unit(leader)}")
        until("another leads", lambda: "leader" in [zookeeper_mode(one) for one in servers if servers[one] != leader], 30)
        leader.succeed(f"systemctl start --no-block {unit(leader)}")
    until("it follows", lambda: zookeeper_mode(next(one for one in servers if servers[one] == leader)) == "follower", 60)
    t.assertEqual(metadata()["brokers"], list(brokers))


def quorum_lost() -> None:
    "Without a quorum brokers serve on; with it back, they are all still there."
    lost = list(servers)[:2]
    with drill("quorum-lost", "--max-interruption 30s", "passed", "inconclusive"):
        for one in lost:
            servers[one].succeed(f"systemctl stop {unit(servers[one])}")
        until("nobody leads", lambda: "" == zookeeper_mode("10.77.0.13"), 60)
        time.sleep(10)
        for one in lost:
            servers[one].succeed(f"systemctl start --no-block {unit(servers[one])}")
        until("there is a leader", lambda: "leader" in [zookeeper_mode(one) for one in servers], 120)
    is_whole()


def power_off() -> None:
    "A machine that is shut down hands over; it comes back with what it had."
    number = plain_broker()
    with drill("power-off", "--max-interruption 15s"):
        stop(brokers[number])
        measured(f"broker {number} is registered no more {without(number):.1f} s after its machine is off")
        start(brokers[number])
        serves(brokers[number], 2)
    is_whole()


def power_lost() -> None:
    "Of a machine that is gone nobody is told: its broker's session expires."
    number = plain_broker()
    before = said(brokers[number], STARTED)
    with drill("power-lost", "--max-interruption 40s"):
        crash(brokers[number])
        measured(f"broker {number} is registered no more after {without(number):.1f} s")
        start(brokers[number])
        serves(brokers[number], before + 1)
    is_whole()


def cut_off() -> None:
    "A broker whose cable is pulled is replaced, and joins again when it is back."
    number = plain_broker()
    machine = brokers[number]
    with drill("network-cut", "--max-interruption 40s"):
        block(machine)
        client.fail(f"timeout 3 nc -z {address(number)} 9092")
        measured(f"broker {number} is registered no more after {without(number):.1f} s")
        unblock(machine)
    is_whole()


def cut_one_way(chain: str, what: str) -> None:
    "The same where packets pass in one direction only."
    number = plain_broker()
    machine = brokers[number]
    rules = f"add table inet cut; add chain inet cut c {{ type filter hook {chain} priority -200; }}; add rule inet cut c oifname != lo iifname != lo drop"
    if chain == "output":
        rules = rules.replace(" iifname != lo", "")
    else:
        rules = rules.replace(" oifname != lo", "")
    with drill(what, "--max-interruption 40s"):
        machine.succeed(f"nft '{rules}'")
        client.fail(f"timeout 3 nc -z {address(number)} 9092")
        measured(f"broker {number} is registered no more after {without(number):.1f} s")
        machine.succeed("nft delete table inet cut")
    is_whole()


def frozen() -> None:
    "A machine that stands still is replaced, and when it goes on nobody believes what it believes."
    number = plain_broker()
    with drill("freeze", "--max-interruption 40s"):
        freeze(brokers[number])
        measured(f"broker {number} is registered no more after {without(number):.1f} s")
        thaw(brokers[number])
    is_whole()


