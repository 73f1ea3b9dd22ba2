# Who reaches what: the stack's own machines every port of each other, clients those that serve them, everybody SSH, nobody
# JMX. Asked from machines outside, and first whether asking tells.
cluster:
let
  inherit (cluster) lib;
  open = document: lib.recursiveUpdate document { facts.host.machine.clients = [ "10.99.1.0/24" ]; };
in
{
  machines =
    lib.mapAttrs (_: document: cluster.machineOf (open document)) cluster.stacks.minimal-nixos
    // {
      client = cluster.client "minimal-nixos";
      outside = cluster.stranger "minimal-nixos" 201;
    };
  script = ''
    cluster_starts([zk_1, broker_1])
    begin([outside])
    outside.wait_for_unit("multi-user.target", timeout=120)
    networks = {"10.99.1.9/24": "a client", "10.99.2.9/24": "a stranger"}
    for node in [zk_1, broker_1]:
        # Which has sshd listen by itself or by a socket.
        node.wait_until_succeeds("ss -Hltn sport = 22 | grep -q LISTEN", timeout=60)
        node.succeed("ip route add 10.99.0.0/16 dev eth1")


    def reaches(machine, address: str) -> list[int]:
        "Which of the nodes' ports are open from there. Elsewhere packets are dropped."
        ports = [22, 2181, 2888, 3888, 9092, 9999]
        return [port for port in ports if machine.execute(f"nc -z -w 1 {address} {port}")[0] == 0]


    broker, server = "10.77.1.101", "10.77.1.11"
    with subtest("of the stack's own network"):
        t.assertEqual(reaches(client, broker), [22, 9092])
        t.assertEqual(reaches(client, server), [22, 2181])
    for network, who in networks.items():
        outside.succeed(f"ip address flush dev eth1; ip address add {network} dev eth1; ip route add 10.77.1.0/24 dev eth1")
        with subtest(f"as {who}"):
            t.assertEqual(reaches(outside, broker), [22, 9092] if who == "a client" else [22])
            t.assertEqual(reaches(outside, server), [22])
    with subtest("without a firewall it would be told"):
        for node in [zk_1, broker_1]:
            node.succeed("nft flush ruleset")
        t.assertEqual(reaches(outside, broker), [22, 9092])
        t.assertEqual(reaches(outside, server), [22, 2181])
    with subtest("metrics are for the machine itself"):
        broker_1.succeed("timeout 5 bash -c '</dev/tcp/127.0.0.1/9999'")
  '';
}
