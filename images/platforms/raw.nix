# A disk image for UEFI, made by systemd-repart in one step and without a virtual machine, so that two builds are alike.
# The login key of root is the systemd credential ssh.authorized_keys.root, which hypervisors pass as SMBIOS string.
{
  config,
  lib,
  modulesPath,
  pkgs,
  ...
}:
let
  inherit (pkgs.stdenv.hostPlatform) efiArch;
  inherit (config.system.build) toplevel uki;
  registration = "/nix-path-registration";
  systemdBoot = "${pkgs.systemd}/lib/systemd/boot/efi/systemd-boot${efiArch}.efi";
in
{
  imports = [
    (modulesPath + "/image/repart.nix")
    (modulesPath + "/profiles/headless.nix")
    (modulesPath + "/profiles/qemu-guest.nix")
  ];

  boot.loader.systemd-boot = {
    enable = true;
    # By now there is an entry for each generation, that of the image too.
    extraInstallCommands = "rm -f ${config.boot.loader.efi.efiSysMountPoint}/EFI/Linux/octad-*.efi";
  };
  boot.loader.timeout = 1;
  boot.kernelParams = [ "console=ttyS0" ];

  # Of the image's 5 GB, the system's partition grows with the disk at boot.
  boot.growPartition = true;
  fileSystems = {
    "/" = {
      device = "/dev/disk/by-partlabel/root";
      fsType = "ext4";
      autoResize = true;
    };
    "/boot" = {
      device = "/dev/disk/by-partlabel/esp";
      fsType = "vfat";
      options = [ "umask=0077" ];
    };
  };

  systemd.tmpfiles.rules = [
    "d /root/.ssh 0700 root root -"
    "f^ /root/.ssh/authorized_keys 0600 root root - ssh.authorized_keys.root"
  ];

  # What an installation does: nix knows the store's paths, and the first generation is this system.
  boot.postBootCommands = ''
    if [ -e ${registration} ]; then
      ${lib.getExe' config.nix.package "nix-store"} --load-db <${registration}
      ${lib.getExe' config.nix.package "nix-env"} --profile /nix/var/nix/profiles/system --set /run/current-system
      rm ${registration}
    fi
  '';

  system.image.id = lib.mkDefault "octad-${config.networking.hostName}";
  image.repart = {
    # Identifiers of the partitions and file systems follow from it.
    seed = "5a1e1f0e-6c37-4a0c-9f5e-0c7a0d0c7ad1";
    # As systemd has it, of which the last -E counts, and with a seed for its hashed directories, which systemd derives
    # itself only as of 260.
    mkfsOptions.ext4 = [
      "-E nodiscard,lazy_itable_init=1,hash_seed=5a1e1f0e-6c37-4a0c-9f5e-0c7a0d0c7ad1"
    ];
    partitions = {
      "10-esp" = {
        contents = {
          "/EFI/BOOT/BOOT${lib.toUpper efiArch}.EFI".source = systemdBoot;
          # Where it counts as installed, so that it is updated.
          "/EFI/systemd/systemd-boot${efiArch}.efi".source = systemdBoot;
          "/EFI/Linux/${config.system.boot.loader.ukiFile}".source =
            "${uki}/${config.system.boot.loader.ukiFile}";
        };
        repartConfig = {
          Type = "esp";
          Label = "esp";
          Format = "vfat";
          # Ten generations, should each have a kernel and an initrd of its own.
          SizeMinBytes = "1G";
        };
      };
      "20-root" = {
        storePaths = [ toplevel ];
        contents.${registration}.source = "${pkgs.closureInfo { rootPaths = [ toplevel ]; }}/registration";
        repartConfig = {
          Type = "root";
          Label = "root";
          Format = "ext4";
          # Not minimized: that goes by how much of a first try the builder's own file system has allocated, and varies.
          SizeMinBytes = "4G";
          SizeMaxBytes = "4G";
        };
      };
    };
  };
}
