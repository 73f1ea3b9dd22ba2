# The image of ZooKeeper servers.
{ lib, pkgs, ... }:
let
  inherit ((import ../nix/software.nix { inherit lib pkgs; }).zookeeper) package classPath archive;
in
{
  imports = [ ./base.nix ];
  environment.systemPackages = [ package ];
  system.extraDependencies = [
    classPath
    archive
  ];
  system.image.id = "octad-zookeeper";
}
