# A broker's machine stands still, as a hypervisor pauses it.
cluster:
cluster.ofEight ''
  frozen()
''
