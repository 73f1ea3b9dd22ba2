# A change with which a broker can't start: the others serve on, and the way back is a switch.
cluster:
let
  name = "broker-2";
  later = {
    broken.octad.nodes.${name}.jvmOptions = [ "-XX:+NoSuchOption" ];
    mended = { };
  };
in
{
  machines = cluster.eight // {
    ${name} = cluster.switchable later cluster.eight.${name};
  };
  script =
    machines:
    let
      inherit (machines.${name}.system.build) later;
    in
    cluster.whenAllServe
    + ''
      before = said(broker_2, STARTED)
      with drill("broken-configuration", "--max-interruption 15s"):
          broker_2.execute("${later.broken}/bin/switch-to-configuration test", timeout=400)
          until("it fails", lambda: said(broker_2, "Unrecognized VM option") > 1, 60)
          measured(f"registered no more after {without(2):.1f} s")
          t.assertEqual(metadata(1)["brokers"], [1, 3, 4, 5])
          broker_2.succeed("${later.mended}/bin/switch-to-configuration test", timeout=400)
          serves(broker_2, before + 1)
      is_whole()
    '';
}
