# What all machines have beside their nodes. What `nixos-generate-config` wrote on each belongs in ./hardware/NAME.nix.
{ host, lib, ... }:
{
  imports = lib.optional (builtins.pathExists ./hardware/${host.name}.nix) ./hardware/${host.name}.nix;

  # Without it nobody gets in any more, and a machine goes back to what it ran before.
  users.users.root.openssh.authorizedKeys.keys = [ ];

  # The machine has the address that the stack file says, by DHCP where no interface is named.
  # octad.interface = "ens3";
  # networking.defaultGateway = "10.20.0.1";
}
