# What a machine of the fleet has beyond its facts: a container's root file system, its interface, its disk.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  inherit (config.octad) dataDir host;
  mount = "${utils.escapeSystemdPath dataDir}.mount";
  disk = host.machine.data_disk;
  keepsData = lib.any (node: !(node.document.stateless or false)) (lib.attrValues config.octad.nodes);
in
{
  imports = [ ../../vm-tests/standins/machine.nix ];

  boot.isNspawnContainer = true;
  # The stand-in for systemd has its libraries there, without which it can't shut down in order.
  systemd.units = lib.genAttrs [ "lib.mount" "lib64.mount" ] (_: {
    overrideStrategy = "asDropin";
    text = "[Unit]\nDefaultDependencies=no\n";
  });
  octad.interface = "eth0";
  networking.useDHCP = false;
  networking.useHostResolvConf = false;
  # Time is the machine's, and so is its kernel.
  services.timesyncd.enable = lib.mkForce false;
  systemd.services.grow-octad-data-disk.enable = false;

  services.openssh = {
    # Not only when somebody knocks, as containers have it.
    startWhenNeeded = false;
    hostKeys = [
      {
        path = "/etc/ssh/ssh_host_ed25519_key";
        type = "ed25519";
      }
    ];
    # On the root disk, as the host key is: any fleet's closures serve all fleets.
    authorizedKeysFiles = [ "/etc/ssh/authorized_keys" ];
  };
  # Somebody whom the Nix daemon doesn't trust.
  users.users.guest.isNormalUser = true;

  nix = {
    enable = true;
    channel.enable = false;
    settings = {
      sandbox = false;
      substituters = lib.mkForce [ ];
      flake-registry = "";
    };
  };
  # All of nixpkgs would be part of each system.
  nixpkgs.flake.setNixPath = false;
  nixpkgs.flake.setFlakeRegistry = false;

  # Containers have no udev, and systemd takes no disk from their fstab: the same mount as a unit, and in place of udev
  # somebody who looks for the file system.
  fileSystems = lib.mkIf keepsData { ${dataDir}.enable = lib.mkForce false; };
  systemd.mounts = lib.optional keepsData {
    what = disk;
    where = dataDir;
    type = "xfs";
    options = "noatime";
  };
  systemd.services.data-disk = lib.mkIf keepsData {
    description = "Mount the data disk as soon as it has a file system";
    wantedBy = [ "multi-user.target" ];
    path = [ pkgs.util-linux ];
    script = ''
      until [ "$(blkid --probe --output value --match-tag TYPE ${disk})" = xfs ]; do sleep 0.5; done
      exec systemctl start --no-block ${mount}
    '';
  };
}
