# A broker's machine is cut off: in both directions, then in each.
cluster:
cluster.ofEight ''
  cut_off()
  cut_one_way("input", "network-cut-in")
  cut_one_way("output", "network-cut-out")
''
