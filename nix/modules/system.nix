# What of a system `octad up` looks at before a machine runs it: which services begin anew, whether it has to boot for all of
# it to run, and what it may be lost by. The program compares this file of two systems.
{ config, lib, ... }:
let
  inherit (config.boot) loader;
  path = toString;
  boots = lib.optionalAttrs config.boot.kernel.enable {
    kernel = path config.boot.kernelPackages.kernel;
    initrd = lib.optionalString config.boot.initrd.enable (path config.system.build.initialRamdisk);
    modules = path config.system.modulesTree;
    parameters = lib.concatStringsSep " " config.boot.kernelParams;
  };
  keys =
    user:
    user.openssh.authorizedKeys.keys ++ map builtins.readFile user.openssh.authorizedKeys.keyFiles;
  # What all that runs there shares. It isn't a node's, and can cut one off all the same.
  shares =
    name:
    builtins.match "(nftables|firewall|ip6?tables|network-.*|systemd-networkd|systemd-resolved|dhcpcd)[.]service" name
    != null;
  facts = {
    inherit boots;
    network = lib.mapAttrs (_: unit: path unit.unit) (
      lib.filterAttrs (name: _: shares name) config.systemd.units
    );
    inherit (config.boot.kernel) sysctl;
    hosts = config.networking.hosts;
    services = lib.mapAttrs (
      name: _: path config.systemd.units."octad-${name}.service".unit
    ) config.octad.nodes;
    root = {
      inherit
        (config.fileSystems."/" or {
          device = null;
          fsType = null;
        }
        )
        device
        fsType
        ;
    };
    loader = {
      systemd-boot = loader.systemd-boot.enable;
      grub = lib.optionals loader.grub.enable loader.grub.devices;
    };
    addresses = lib.concatMap (interface: map (one: one.address) interface.ipv4.addresses) (
      lib.attrValues config.networking.interfaces
    );
    ssh = {
      ports = lib.optionals config.services.openssh.enable config.services.openssh.ports;
      files = config.services.openssh.authorizedKeysFiles;
      keys = lib.filterAttrs (_: all: all != [ ]) (lib.mapAttrs (_: keys) config.users.users);
    };
  };
in
{
  imports = [ ./options.nix ];

  # It says what there is, and brings none of it along.
  environment.etc."octad-system.json".text = builtins.unsafeDiscardStringContext (
    builtins.toJSON facts
  );
}
