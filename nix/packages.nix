# The flake's packages. Images are only for the platforms' own architecture.
{ nixpkgs, pkgs, ... }:
let
  inherit (pkgs) lib;
  software = import ./software.nix { inherit lib pkgs; };
  octad = pkgs.callPackage ./package.nix { };
  jars = pkgs.callPackage ./jars.nix { };
in
{
  inherit octad jars;
  default = octad;
  format-data-disk = pkgs.callPackage ./format-data-disk.nix { };
  kafka = software.broker.package;
  archive-broker = software.broker.archive;
  archive-zookeeper = software.zookeeper.archive;

  # octad with its jars and its Java, for a machine that has neither Maven nor a JDK.
  deploy = pkgs.writeShellApplication {
    name = "octad";
    runtimeEnv = {
      OCTAD_ARTIFACTS = jars;
      OCTAD_JAVA = lib.getExe' pkgs.jdk17_headless "java";
    };
    text = ''exec -a "$0" ${lib.getExe octad} "$@"'';
  };
}
// import ../images { inherit nixpkgs pkgs; }
