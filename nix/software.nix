# The software of each role as the modules have it where nothing is overridden: what images hold in advance.
{ lib, pkgs }:
let
  java = import ./java { inherit lib pkgs; };
  # All nodes of a role have the same software and JVM options.
  factsOf = node: lib.importJSON (./facts/ha-nixos + "/${node}.json");
  kafka = pkgs.callPackage ./kafka.nix { };
in
{
  broker = {
    package = kafka;
  }
  // java.software {
    facts = factsOf "broker-1";
    inherit (kafka) jre;
    folder = "${kafka}/libs";
  };
  zookeeper = {
    package = pkgs.zookeeper;
  }
  // java.software {
    facts = factsOf "zk-1";
    jre = pkgs.jdk17_headless;
    folder = "${pkgs.zookeeper}/lib";
  };
}
