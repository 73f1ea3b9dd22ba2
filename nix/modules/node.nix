# A machine that runs one node, as its facts say.
{
  config,
  facts,
  lib,
  ...
}:
let
  roles = {
    broker = ./kafka.nix;
    zookeeper = ./zookeeper.nix;
  };
  platforms = import ../../images/platforms // {
    own = { };
  };
  choose =
    what: known: name:
    known.${name}
      or (throw "${facts.node}: there is no ${what} `${name}` (known: ${lib.concatStringsSep ", " (lib.attrNames known)})");
in
{
  imports = [
    ./base.nix
    ./data-disk.nix
    ./firewall.nix
    (choose "role" roles facts.role)
    (choose "platform" platforms facts.host.machine.platform)
  ];

  networking.hostName = facts.host.name;

  assertions = [
    {
      assertion = !(config.services.zookeeper.enable && config.services.apache-kafka.enable);
      message = "${facts.node}: ZooKeeper and Kafka are on one machine, so that one failure takes both";
    }
    {
      assertion = !(lib.hasPrefix "127." facts.host.address);
      message = "${facts.node}: at ${facts.host.address} no other machine can reach it";
    }
    {
      assertion = config.swapDevices == [ ] && !config.zramSwap.enable;
      message = "${facts.node}: a JVM that is swapped out stands still for seconds; take swap away";
    }
  ];
}
