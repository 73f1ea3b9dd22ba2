# A machine of stand-ins that boots from a disk. Its image has the world's /usr, which stays where closures come later.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  disk = {
    image.repart = {
      package = pkgs.repart-standin;
      partitions."20-root" = {
        contents."/usr".source = "/usr";
        # Whatever the world has for building and running images.
        repartConfig.ExcludeFiles = [
          "/usr/bin/qemu-img"
          "/usr/bin/qemu-system-x86_64"
          "/usr/lib/x86_64-linux-gnu/qemu"
          "/usr/share/OVMF"
          "/usr/share/doc"
          "/usr/share/locale"
          "/usr/share/man"
          "/usr/share/qemu"
          "/usr/share/seabios"
        ];
      };
    };
  };
in
{
  image.modules = lib.mkForce {
    raw = disk;
    qcow2 = disk;
  };
  system.build.initialRamdisk = lib.mkForce pkgs.initrd-standin;

  # In slot 5, as boot-images plugs it.
  octad.interface = "ens5";
  # The stand-in makes calls that dhcpcd doesn't.
  systemd.services.dhcpcd = lib.mkIf config.networking.useDHCP {
    serviceConfig.SystemCallFilter = lib.mkForce [ ];
  };
  nix.enable = true;
  # Units that Debian has elsewhere or not at all.
  services.fstrim.enable = false;
  services.lvm.enable = false;
  # One of 4096 bits for RSA takes minutes by emulation.
  services.openssh.hostKeys = lib.mkForce [
    {
      path = "/etc/ssh/ssh_host_ed25519_key";
      type = "ed25519";
    }
  ];
  # There is no network but the machines' own.
  services.timesyncd.enable = lib.mkForce false;
  systemd.services.systemd-time-wait-sync.enable = false;
}
