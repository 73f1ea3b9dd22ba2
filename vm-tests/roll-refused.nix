# A change that would break an ISR is refused: with one broker down its partitions are at min.insync.replicas, and none of the
# others that have them may go. Where nobody can be asked, that is no leave.
cluster:
cluster.ofEight ''
  create_topic("held")
  is_whole()


  def gate(node: str, wait: str = "0s") -> tuple[int, dict]:
      code, said = client.execute(f"octad gate {node} --facts /etc/facts --wait {wait} --output json", timeout=300)
      return code, json.loads(said or "{}")


  def in_sync(number: int) -> list[list[int]]:
      "The replicas in sync of each partition that this broker has."
      return [entry["isr"] for entry in metadata()["partitions"] if number in entry["replicas"]]


  with subtest("while all is whole, each may go"):
      for node in nodes:
          t.assertEqual(gate(node.name)[0], 0, node.name)

  down = plain_broker()
  with subtest("with one broker down, none may go that its partitions need"):
      brokers[down].succeed(f"systemctl stop {unit(brokers[down])}")
      until("its partitions are at min.insync.replicas", lambda: {len(isr) for isr in in_sync(down)} == {2}, 60)
      lacking = [entry for entry in metadata()["partitions"] if down in entry["replicas"]]
      needed = {one for entry in lacking for one in entry["isr"]}
      t.assertGreater(len(needed), 2)
      for one in needed:
          code, verdict = gate(f"broker-{one}")
          t.assertEqual(code, 10, f"{verdict}")
          named = verdict["not_safe"]["so"]
          t.assertEqual(named["reason"], "would_break_min_isr")
          partitions = [(entry["topic"], entry["partition"]) for entry in lacking if one in entry["isr"]]
          t.assertIn((named["topic"], named["partition"]), partitions)
      measured(f"broker {down} is down: {len(needed)} of the others are refused, as in: {verdict['why']}")
      code, verdict = gate(f"broker-{down}")
      t.assertEqual((code, verdict["not_safe"]["reason"]), (10, "starting"), "facts don't tell a node that starts from one that is down")

  with subtest("one may go as soon as it is back in sync"):
      brokers[down].succeed(f"systemctl start {unit(brokers[down])}")
      code, verdict = gate(f"broker-{min(needed)}", "3m")
      t.assertEqual(code, 0, f"{verdict}")
      t.assertTrue(whole())

  with subtest("no server may go without which there is no quorum, and no broker meanwhile"):
      zk_1.succeed("systemctl stop octad-zk-1")
      for other in ["zk-2", "broker-1"]:
          code, verdict = gate(other)
          t.assertEqual(code, 10, f"{other}: {verdict}")
      zk_1.succeed("systemctl start --no-block octad-zk-1")
      t.assertEqual(gate("zk-2", "3m")[0], 0)

  with subtest("where nobody can be asked, that is said, and is no leave"):
      block(client)
      for node in ["broker-1", "zk-1"]:
          t.assertEqual(gate(node)[0], 1)
      unblock(client)
      t.assertEqual(gate("broker-1", "1m")[0], 0)
''
