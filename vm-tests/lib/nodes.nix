# A machine of a test as a virtual machine: 1 CPU and 1 GB, as brokers have, and a disk for the data.
{ config, lib, ... }:
{
  virtualisation = {
    cores = 1;
    memorySize = 1024;
    emptyDiskImages = lib.mkDefault [ 4096 ];
    graphics = false;
    # The driver's file systems take the place of all others.
    fileSystems = lib.mkIf (config.octad.nodes != { }) {
      ${config.octad.dataDir} = config.octad.dataMount;
    };
  };
  # There is no network but the test's own.
  services.timesyncd.enable = false;
  systemd.services.systemd-time-wait-sync.enable = false;
}
