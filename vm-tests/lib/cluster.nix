# The machines of tests, made of the example stacks' facts.
{
  lib,
  tools,
  kind,
  modules,
}:
let
  stacks = tools.readFacts ../../nix/facts;
  network = document: lib.head (lib.splitString "/" document.facts.host.machine.peers);
  # An address of the stack's own network, of which the facts have .11 to .19 and .101 and more.
  address = document: last: lib.removeSuffix ".0" (network document) + ".${toString last}";

  # As it is, but for how it boots and by which name its disk is found: those are the driver's.
  own =
    document:
    lib.recursiveUpdate document {
      facts.host.machine = {
        platform = "own";
        data_disk = "/dev/disk/by-label/octad-data";
      };
    };

  machineOf = document: {
    imports = [
      (tools.nodeModule (own document))
      (./. + "/${kind}.nix")
    ]
    ++ modules;
    octad.interface = "eth1";
  };

  # A machine of the stack's network that is none of its hosts.
  stranger =
    stack: last:
    { pkgs, ... }:
    let
      documents = stacks.${stack};
      inherit (lib.head (lib.attrValues documents)) facts;
    in
    {
      imports = [
        ../../nix/modules/base.nix
        (./. + "/${kind}.nix")
      ]
      ++ modules;
      networking.interfaces.eth1.ipv4.addresses = [
        {
          address = address { inherit facts; } last;
          prefixLength = 24;
        }
      ];
      environment.etc = lib.mapAttrs' (
        node: document: lib.nameValuePair "facts/${node}.json" { text = builtins.toJSON document; }
      ) documents;
      environment.systemPackages = [ pkgs.netcat ];
    };
in
rec {
  inherit
    lib
    stacks
    own
    machineOf
    ;

  # Where judgement is made: it knows the cluster by its facts only.
  client =
    stack:
    { config, pkgs, ... }:
    {
      imports = [ (stranger stack 200) ];
      environment.systemPackages = [
        config.octad.package
        pkgs.python3
      ];
      environment.etc."metadata.py".source = ./metadata.py;
    };
  inherit stranger;

  of = stack: lib.mapAttrs (_: machineOf) stacks.${stack} // { client = client stack; };
  minimal = of "minimal-nixos";
  # Five brokers of 1 CPU and 1 GB, and three ZooKeeper servers on machines of their own.
  eight = of "ha-nixos";

  # A test of them: what the script says once all serve.
  ofEight = script: {
    machines = eight;
    script = whenAllServe + script;
  };
  declared = builtins.readFile ./eight.py;
  whenAllServe = declared + ''
    cluster_starts(nodes)
    until("all brokers are registered", lambda: metadata()["brokers"] == list(brokers), 120)
  '';

  # A machine with other systems to switch to, as system.build.later.NAME: the same with a module more.
  switchable =
    later: machine:
    { extendModules, ... }:
    {
      imports = [ machine ];
      system.build.later = lib.mapAttrs (
        _: module: (extendModules { modules = [ module ]; }).config.system.build.toplevel
      ) later;
    };
}
