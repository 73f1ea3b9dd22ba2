# The software that nodes run, by the name that facts have for it, and what images hold of it in advance.
{ lib, pkgs }:
let
  java = import ./java { inherit lib pkgs; };
  # `jars` is the folder of the class path.
  known = {
    kafka = {
      package = pkgs.callPackage ./kafka.nix { };
      jars = "libs";
    };
    zookeeper = {
      package = pkgs.zookeeper;
      jars = "lib";
    };
  };
  of =
    facts:
    known.${facts.software.name}
      or (throw "${facts.node}: there is no software `${facts.software.name}` (known: ${lib.concatStringsSep ", " (lib.attrNames known)})");
  # As the modules have it where nothing is overridden. All nodes of a role have the same software and JVM options.
  inAdvance =
    node:
    let
      inherit (lib.importJSON (./facts/ha-nixos + "/${node}.json")) facts;
      inherit (of facts) package jars;
    in
    {
      inherit package;
    }
    // java.software {
      inherit facts;
      jre = pkgs.jdk17_headless;
      folder = "${package}/${jars}";
    };
in
{
  inherit of;
  broker = inAdvance "broker-1";
  zookeeper = inAdvance "zk-1";
}
