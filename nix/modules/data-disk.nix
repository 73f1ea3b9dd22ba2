# The disk with the data of all nodes: XFS on the whole device, by a name that stays. It is never formatted by itself:
# `octad-format-data-disk DEVICE` is a step that somebody takes knowingly. It makes a directory for each node, and puts the
# leave to begin with nothing there, without which a broker doesn't start on an empty one; `octad admit` takes it back.
# Who enlarges the volume does so at the cloud or the hypervisor; the file system follows, at boot and while it runs.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.octad) dataDir host;
  nodes = lib.filterAttrs (_: node: !(node.document.stateless or false)) config.octad.nodes;
  # As mkfs.xfs reads a directory with what is in it.
  directory = node: ''"${node} d--755 0 0" "octad-fresh ---644 0 0 $scratch/leave" "\$"'';

  format = pkgs.writeShellApplication {
    name = "octad-format-data-disk";
    runtimeInputs = [
      pkgs.util-linux
      pkgs.xfsprogs
    ];
    text = ''
      leave=new
      [ "''${1:-}" != --refill ] || { leave=refill; shift; }
      [ $# = 1 ] || { echo "usage: octad-format-data-disk [--refill] DEVICE" >&2; exit 64; }
      [ -b "$1" ] || { echo "error: $1 is no disk" >&2; exit 1; }
      # 2 is blkid's answer for a device on which it finds nothing.
      found=$(blkid --probe "$1") && code=0 || code=$?
      if [ "$code" != 2 ]; then
        echo "error: $1 is left alone: ''${found:-blkid could not look at it ($code)}" >&2
        echo "hint: wipefs --all $1 makes it blank, and all that it holds is lost" >&2
        exit 1
      fi
      scratch=$(mktemp -d)
      trap 'rm -rf "$scratch"' EXIT
      echo "$leave" >"$scratch/leave"
      # mkfs makes the file with the file system, so that neither is there without the other.
      printf '%s\n' / "0 0" "d--755 0 0" ${
        lib.concatMapStringsSep " " directory (lib.attrNames nodes)
      } "\$" \
        >"$scratch/contents"
      mkfs.xfs -L octad-data -p "$scratch/contents" "$1"
    '';
  };
in
lib.mkIf (nodes != { }) {
  fileSystems.${dataDir} = {
    device = host.machine.data_disk;
    fsType = "xfs";
    options = [
      # Kafka reads no access times, and writing them costs a write for each read.
      "noatime"
      # A machine without its data disk must come up, so that somebody can look; the node on it doesn't start.
      "nofail"
      "x-systemd.growfs"
    ];
  };

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
}
