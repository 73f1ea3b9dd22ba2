# The raw image in QEMU's format, with what is empty left out.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  raw = config.image.repart.image;
in
{
  imports = [ ./raw.nix ];

  image.extension = lib.mkForce "qcow2";
  system.build.image = lib.mkForce (
    pkgs.runCommand config.image.baseName { nativeBuildInputs = [ pkgs.qemu-utils ]; } ''
      mkdir $out
      qemu-img convert -f raw -O qcow2 -c ${raw}/${config.image.baseName}.raw $out/${config.image.fileName}
    ''
  );
}
