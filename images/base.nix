# An image that doesn't know its node yet.
{ lib, ... }:
{
  imports = [ ../nix/modules/base.nix ];

  # In place of all formats that nixpkgs knows: these are the ones that a node's facts may name.
  image.modules = lib.mkForce (import ./platforms);
}
