# The process of ZooKeeper's leader dies, and stays away until another leads.
cluster:
cluster.ofEight ''
  zookeeper_leader_crash()
''
