# Machines start in any order: brokers wait for ZooKeeper, and new servers of an ensemble for each other.
cluster: {
  machines = cluster.eight;
  script = cluster.declared + ''
    begin([client, *brokers.values()])
    for machine in brokers.values():
        machine.wait_for_unit("multi-user.target", timeout=300)
    begin([zk_1, zk_2])
    for machine in [zk_1, zk_2]:
        machine.wait_for_unit("basic.target", timeout=300)
    time.sleep(20)
    with subtest("nobody serves before all that it needs is there"):
        t.assertEqual([zookeeper_mode(one) for one in servers], ["", "", ""])
        t.assertEqual([said(machine, STARTED) for machine in brokers.values()], [0, 0, 0, 0, 0])
    begin([zk_3])
    for machine in brokers.values():
        serves(machine)
    create_topic("after")
    is_whole()
    with subtest("nothing is left failed"):
        for machine in nodes:
            failed = "systemctl list-units --failed --no-legend 'octad-*'"
            until(f"{machine.name} is well", lambda machine=machine: machine.succeed(failed) == "", 60)
  '';
}
