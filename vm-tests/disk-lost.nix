# A data disk is lost. On an empty one a node doesn't start unless whoever formatted it says so, and not by the leave of a new
# disk where the cluster counts on what it had; told that it is to be filled again, it has everything from the others.
cluster:
cluster.ofEight ''
  create_topic("kept")
  is_whole()
  number = plain_broker()
  machine = brokers[number]
  name = machine.name

  with drill("disk-lost", "--max-interruption 15s"):
      machine.succeed(f"systemctl stop {unit(machine)}")
      before = said(machine, STARTED)
      with subtest("nobody gave leave"):
          lose_disk(machine, name)
          machine.fail(f"systemctl start {unit(machine)}")
          t.assertEqual(said(machine, STARTED), before)
      with subtest("leave of a new disk is not enough"):
          format_disk(machine, name, "new")
          machine.execute(f"systemctl start --no-block {unit(machine)}")
          until("it is refused", lambda: said(machine, "octad-format-data-disk --refill") > 0, 60)
          t.assertEqual(said(machine, STARTED), before)
          machine.succeed(f"systemctl stop {unit(machine)}")
      with subtest("the others fill it"):
          format_disk(machine, name, "refill")
          machine.succeed(f"systemctl start {unit(machine)}")
          serves(machine, before + 1)
          is_whole()

  with subtest("a ZooKeeper server has all from its leader, also on a disk that is said to be new"):
      follower = next(one for one in servers if zookeeper_mode(one) == "follower")
      server = servers[follower]
      server.succeed(f"systemctl stop {unit(server)}")
      format_disk(server, server.name, "new")
      server.succeed(f"systemctl start --no-block {unit(server)}")
      until("it follows", lambda: zookeeper_mode(follower) == "follower", 90)
      t.assertEqual(metadata()["brokers"], list(brokers))
''
