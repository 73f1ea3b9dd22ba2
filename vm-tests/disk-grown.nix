# The data disk is enlarged while the machine runs: the file system follows by itself.
cluster: {
  kinds = [ "nodes" ];
  machines = cluster.minimal;
  script = ''
    cluster_starts([zk_1, broker_1])
    size = "df --output=size --block-size=1M /var/lib/octad | tail -n 1"
    before = int(broker_1.succeed(size))
    broker_1.send_monitor_command("block_resize drive2 8192M")
    broker_1.wait_until_succeeds(f"test $({size}) -gt {before + 3000}", timeout=60)
    t.assertEqual(broker_1.succeed("systemctl is-active octad-broker-1").strip(), "active")
  '';
}
