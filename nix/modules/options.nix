# What can be said about a machine beyond its facts and nixpkgs' own options.
{ lib, pkgs, ... }:
{
  options.octad = {
    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ../package.nix { };
      defaultText = lib.literalMD "the flake's own";
      description = "The program octad, which fences a broker that died.";
    };
    dataDir = lib.mkOption {
      type = lib.types.path;
      default = "/var/lib/octad";
      readOnly = true;
      description = "Where the data disk is mounted, and the node keeps its data.";
    };
    jmxPort = lib.mkOption {
      type = lib.types.port;
      default = 9999;
      description = ''
        Where the node's metrics are read by JMX. Only from the machine itself: JMX without authentication lets whoever
        reaches it run code.
      '';
    };
  };
}
