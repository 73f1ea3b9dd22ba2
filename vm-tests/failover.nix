# All failovers, one after the other, on one cluster of eight machines: what `nix flake check` runs.
cluster:
cluster.ofEight ''
  with subtest("a broker crashes"):
      broker_crash(plain_broker(), "broker-crash")
  with subtest("the controller crashes"):
      controller_crash()
  with subtest("ZooKeeper's leader crashes"):
      zookeeper_leader_crash()
  with subtest("ZooKeeper loses its quorum"):
      quorum_lost()
  with subtest("a machine is shut down"):
      power_off()
  with subtest("a machine loses power"):
      power_lost()
  with subtest("a machine is cut off"):
      cut_off()
  with subtest("a machine stands still"):
      frozen()
''
