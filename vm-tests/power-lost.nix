# A broker's machine loses power, and gets it back.
cluster:
cluster.ofEight ''
  power_lost()
''
