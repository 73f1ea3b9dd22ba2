# A data disk that appears long after the machine gave up waiting for it: the machine is up without it, and the node starts by
# itself once it is there. The kernel must show disks, which containers have none of.
cluster: {
  kinds = [ "nodes" ];
  machines = cluster.minimal;
  script = ''
    for machine in [zk_1, broker_1, client]:
        machine.start()
    for machine in [zk_1, broker_1, client]:
        machine.wait_for_unit("multi-user.target", timeout=300)
    with subtest("without a formatted disk the machine is up and the node isn't"):
        broker_1.fail("systemctl is-active octad-broker-1")
        broker_1.wait_until_succeeds("systemctl list-jobs | grep -q 'No jobs'", timeout=120)
    for machine in [zk_1, broker_1]:
        machine.succeed("octad-format-data-disk /dev/vdb")
    serves(broker_1)
  '';
}
