# An image that doesn't know its node yet.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  imports = [ ../nix/modules/base.nix ];

  # What the first deployment begins with.
  environment.systemPackages = [ (pkgs.callPackage ../nix/format-data-disk.nix { }) ];

  # What is heavy, and what each node needs: later only what a node is must come.
  system.extraDependencies = [
    config.octad.package
    pkgs.jdk17_headless
    pkgs.xfsprogs
  ];

  # In place of all formats that nixpkgs knows: these are the ones that a node's facts may name.
  image.modules = lib.mkForce (import ./platforms);
}
