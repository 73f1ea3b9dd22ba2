# A machine of a test as a container: a directory of its own root in place of the disk. It is made when the machine first
# starts, as octad-format-data-disk makes a disk.
{
  config,
  lib,
  ...
}:
let
  nodes = lib.attrNames config.octad.nodes;
in
{
  fileSystems.${config.octad.dataDir} = lib.mkIf (nodes != [ ]) (
    lib.mkForce {
      device = "/data";
      fsType = "none";
      options = [ "bind" ];
    }
  );
  system.activationScripts.data = lib.concatMapStrings (node: ''
    if [ ! -e /data/${node} ]; then
      mkdir -p /data/${node}
      echo new >/data/${node}/octad-fresh
    fi
  '') nodes;
  # Time is the machine's, and so is its kernel.
  services.timesyncd.enable = lib.mkForce false;
  systemd.services.grow-octad-data-disk.enable = false;
}
