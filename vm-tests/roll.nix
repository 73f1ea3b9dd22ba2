# A change of all brokers under load, one after the other: each only when `octad gate` says so, which goes by the roll's own
# rules, and the controller, which is asked for each time, last.
cluster:
let
  inherit (cluster) lib;
  isBroker = name: _: lib.hasPrefix "broker-" name;
  changed = name: cluster.switchable { changed.octad.nodes.${name}.jvmOptions = [ "-Xss512k" ]; };
in
{
  machines = cluster.eight // lib.mapAttrs changed (lib.filterAttrs isBroker cluster.eight);
  script =
    machines:
    let
      later = lib.mapAttrsToList (name: machine: ''"${name}": "${machine.system.build.later.changed}"'') (
        lib.filterAttrs isBroker machines
      );
    in
    cluster.whenAllServe
    + ''
      later = {${lib.concatStringsSep ", " later}}
      left = list(brokers)
      with drill("roll", "--max-interruption 15s --under-load 500kB/s"):
          while left:
              number = next((one for one in left if one != controller()), left[0])
              client.succeed(f"octad gate broker-{number} --facts /etc/facts --wait 3m", timeout=300)
              machine = brokers[number]
              before, process = said(machine, STARTED), main_process(machine)
              machine.succeed(f"{later[machine.name]}/bin/switch-to-configuration test", timeout=400)
              serves(machine, before + 1)
              t.assertNotEqual(main_process(machine), process)
              machine.succeed(f"tr '\\0' ' ' </proc/{main_process(machine)}/cmdline | grep -F -e -Xss512k")
              left.remove(number)
          is_whole()
      with subtest("what is so already restarts nothing"):
          process = main_process(broker_1)
          broker_1.succeed(f"{later['broker-1']}/bin/switch-to-configuration test", timeout=400)
          t.assertEqual(main_process(broker_1), process)
    '';
}
