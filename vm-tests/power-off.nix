# A broker's machine is shut down, and started again.
cluster:
cluster.ofEight ''
  power_off()
''
