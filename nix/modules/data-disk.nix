# The disk with the data of all nodes: XFS on the whole device, by a name that stays. It is never formatted by itself:
# `octad-format-data-disk DEVICE` is a step that somebody takes knowingly.
# Who enlarges the volume does so at the cloud or the hypervisor; the file system follows, at boot and while it runs.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  inherit (config.octad) dataDir host;
  nodes = lib.filterAttrs (_: node: !(node.document.stateless or false)) config.octad.nodes;
  format = pkgs.callPackage ../format-data-disk.nix { nodes = lib.attrNames nodes; };
  unit = path: utils.escapeSystemdPath path;
in
{
  options.octad.dataMount = lib.mkOption {
    description = "How the data disk is mounted, for who replaces all file systems, as the test driver does.";
    type = lib.types.raw;
    internal = true;
    readOnly = true;
    default = {
      device = host.machine.data_disk;
      fsType = "xfs";
      options = [
        # Kafka reads no access times, and writing them costs a write for each read.
        "noatime"
        # A machine without its data disk must come up, so that somebody can look; the node on it doesn't start.
        "nofail"
        # Of the device alone, so that one that appears late is mounted then, and its nodes start.
        "x-systemd.wanted-by=${unit host.machine.data_disk}.device"
        "x-systemd.growfs"
      ];
    };
  };

  config = lib.mkIf (nodes != { }) {
    fileSystems.${dataDir} = config.octad.dataMount;

    # NVMe and virtio tell of a new capacity by themselves, SCSI only that it should be asked.
    services.udev.extraRules = ''
      ACTION=="change", SUBSYSTEM=="scsi", ENV{SDEV_UA}=="CAPACITY_DATA_HAS_CHANGED", TEST=="rescan", ATTR{rescan}="x"
      ACTION=="change", SUBSYSTEM=="block", ENV{RESIZE}=="1", RUN+="${config.systemd.package}/bin/systemctl start --no-block grow-octad-data-disk.service"
    '';
    systemd.services.grow-octad-data-disk = {
      description = "Grow the data disk's file system to its device";
      unitConfig.ConditionPathIsMountPoint = dataDir;
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${pkgs.xfsprogs}/bin/xfs_growfs ${dataDir}";
      };
    };

    environment.systemPackages = [
      format
      pkgs.xfsprogs
    ];
  };
}
