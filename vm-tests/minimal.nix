# One broker and one ZooKeeper server: both come up by themselves, what is written is read, a killed broker is fenced and
# comes back, and so does one that another hand stops; a stop that systemd is asked for stays one.
cluster: {
  machines = cluster.minimal;
  script = ''
    cluster_starts([zk_1, broker_1])

    with subtest("both run as themselves, bounded, and nothing failed"):
        for node in [zk_1, broker_1]:
            t.assertEqual(node.succeed("systemctl is-system-running").strip(), "running")
            t.assertEqual(node.succeed(f"ps -o user= -p {main_process(node)}").strip()[:5], "octad")
            node.succeed(f"systemctl show -p LimitCORE --value {unit(node)} | grep -x 0")

    with subtest("a killed broker is fenced and starts again, and no record is lost"):
        t.assertEqual(fenced(broker_1), 0)
        with drill("minimal-crash", "--max-interruption 40s"):
            kill(broker_1)
            serves(broker_1, 2)
        t.assertEqual(fenced(broker_1), 1)

    with subtest("what another hand stopped starts again"):
        kill(broker_1, "TERM")
        serves(broker_1, 3)
        kill(zk_1, "TERM")
        zk_1.wait_until_succeeds("systemctl is-active octad-zk-1", timeout=60)

    with subtest("a stop stays one"):
        broker_1.succeed("systemctl stop octad-broker-1")
        broker_1.sleep(5)
        broker_1.fail("systemctl is-active octad-broker-1")
        broker_1.fail("systemctl is-failed octad-broker-1")
        zk_1.succeed("systemctl stop octad-zk-1")
        zk_1.fail("systemctl is-failed octad-zk-1")
  '';
}
