# A broker's process dies.
cluster:
cluster.ofEight ''
  broker_crash(plain_broker(), "broker-crash")
''
