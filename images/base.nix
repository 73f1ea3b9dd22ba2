# An image that doesn't know its node yet.
{ lib, pkgs, ... }:
{
  imports = [ ../nix/modules/base.nix ];

  # What the first deployment begins with.
  environment.systemPackages = [ (pkgs.callPackage ../nix/format-data-disk.nix { }) ];

  # In place of all formats that nixpkgs knows: these are the ones that a node's facts may name.
  image.modules = lib.mkForce (import ./platforms);
}
