# The process of the broker that is the controller dies.
cluster:
cluster.ofEight ''
  controller_crash()
''
