# Two of three ZooKeeper servers are away for a while.
cluster:
cluster.ofEight ''
  quorum_lost()
''
