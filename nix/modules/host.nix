# The machine that nodes are on, as their facts have it.
{ config, lib, ... }:
let
  inherit (config.octad) host interface;
  prefix = lib.toInt (lib.last (lib.splitString "/" host.machine.peers));
in
lib.mkIf (config.octad.nodes != { }) {
  networking.hostName = host.name;
  # For good: who loses the lease of an address loses a broker. Nor does anything wait for a lease then, unless another
  # interface is to have one; behind what NixOS writes into a hardware configuration.
  networking.useDHCP = lib.mkIf (interface != null) (lib.mkOverride 1400 false);
  networking.interfaces = lib.mkIf (interface != null) {
    ${toString interface} = {
      useDHCP = false;
      ipv4.addresses = [
        {
          inherit (host) address;
          prefixLength = prefix;
        }
      ];
    };
  };

  assertions = [
    {
      assertion = !(lib.hasPrefix "127." host.address);
      message = "${host.name}: at ${host.address} no other machine can reach it";
    }
    {
      assertion = config.swapDevices == [ ] && !config.zramSwap.enable;
      message = "${host.name}: a JVM that is swapped out stands still for seconds; take swap away";
    }
  ];
}
