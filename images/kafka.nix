# The image of brokers.
{ lib, pkgs, ... }:
let
  inherit ((import ../nix/software.nix { inherit lib pkgs; }).broker) package classPath archive;
in
{
  imports = [ ./base.nix ];
  environment.systemPackages = [ package ];
  system.extraDependencies = [
    classPath
    archive
  ];
  system.image.id = "octad-kafka";
}
