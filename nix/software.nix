# The software of each role as the modules have it where nothing is overridden: what images hold in advance.
{ lib, pkgs }:
let
  java = import ./java { inherit lib pkgs; };
  # All nodes of a role have the same JVM options.
  jvmOf = node: (lib.importJSON (./facts/ha-nixos + "/${node}.json")).jvm;
  kafka = pkgs.callPackage ./kafka.nix { };
in
{
  broker = {
    package = kafka;
  }
  // java.software {
    role = "broker";
    inherit (kafka) jre;
    folder = "${kafka}/libs";
    jvm = jvmOf "broker-1";
  };
  zookeeper = {
    package = pkgs.zookeeper;
  }
  // java.software {
    role = "zookeeper";
    jre = pkgs.jdk17_headless;
    folder = "${pkgs.zookeeper}/lib";
    jvm = jvmOf "zk-1";
  };
}
