# The cluster as it is declared: five brokers of 1 CPU and 1 GB and three ZooKeeper servers, each on a machine of its own, all
# registered, three replicas of everything in different zones, and records that are written to every broker and read back.
cluster:
cluster.ofEight ''
  with subtest("every node is on a machine of its own, and nothing failed"):
      for node in nodes:
          t.assertEqual(node.succeed("systemctl list-units --no-legend 'octad-*' | grep -c running").strip(), "1")
          t.assertEqual(node.succeed("systemctl is-system-running").strip(), "running")

  with subtest("three servers of one ensemble"):
      modes = sorted(zookeeper_mode(one) for one in servers)
      t.assertEqual(modes, ["follower", "follower", "leader"])

  with subtest("every broker tells of the same five"):
      create_topic("topology")
      is_whole()
      for number in brokers:
          seen = metadata(number)
          t.assertEqual(seen["brokers"], list(brokers))
          ours = [entry for entry in seen["partitions"] if entry["topic"] == "topology"]
          t.assertEqual(len(ours), 5)
          for entry in ours:
              t.assertEqual(len(entry["isr"]), 3)

  with subtest("a record is acknowledged by two brokers at least, as every broker goes by it"):
      for number in brokers:
          least = client.succeed(f"python3 /etc/metadata.py {address(number)} 9092 topology min.insync.replicas")
          t.assertEqual(least.strip(), "2")

  with subtest("records are written to all and read back, and a fault that isn't made is not taken for one"):
      with drill("no-fault", "", "inconclusive"):
          time.sleep(5)
''
