# The machine that nodes are on, as their facts have it.
{ config, lib, ... }:
let
  inherit (config.octad) host;
in
{
  networking.hostName = host.name;

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
