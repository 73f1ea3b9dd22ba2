# What can be said about a machine beyond what `octad facts` says of its nodes and nixpkgs' own options.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  software = import ../software.nix { inherit lib pkgs; };
  node =
    { config, ... }:
    {
      options = {
        document = lib.mkOption {
          type = lib.types.raw;
          description = "What `octad facts` says of the node: what it is, and how it is run.";
        };
        package = lib.mkOption {
          type = lib.types.package;
          default = (software.of config.document.facts).package;
          defaultText = lib.literalMD "the software that the node's facts name";
          description = "The node's software, at the version that its facts name.";
        };
        jre = lib.mkOption {
          type = lib.types.package;
          default = pkgs.jdk17_headless;
          defaultText = lib.literalExpression "pkgs.jdk17_headless";
          description = "The Java that runs it.";
        };
        jvmOptions = lib.mkOption {
          type = lib.types.listOf lib.types.str;
          default = [ ];
          description = "Options of its Java virtual machine, behind those that Octad gives.";
        };
        jmxPort = lib.mkOption {
          type = lib.types.port;
          description = ''
            Where its metrics are read by JMX: 9999 for a host's first node, and one more for each further one. Only from
            the machine itself: JMX without authentication lets whoever reaches it run code.
          '';
        };
      };
    };
in
{
  options.octad = {
    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.octad or (pkgs.callPackage ../package.nix { });
      defaultText = lib.literalMD "the overlay's, or the flake's own";
      description = "The program octad, which admits nodes to their disks, watches them, and fences what died.";
    };
    dataDir = lib.mkOption {
      type = lib.types.path;
      default = "/var/lib/octad";
      readOnly = true;
      description = "Where the data disk is mounted. Each node has a directory of its name there.";
    };
    nodes = lib.mkOption {
      type = lib.types.attrsOf (lib.types.submodule node);
      default = { };
      description = "The nodes that the machine runs, by name. `lib.hostModule` declares them.";
    };
    interface = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "ens3";
      description = ''
        The network interface that has the host's address by itself, with the length of the stack's network. With null
        the address must come by DHCP or from a module. A gateway is `networking.defaultGateway`.
      '';
    };
    host = lib.mkOption {
      type = lib.types.raw;
      default = (lib.head (lib.attrValues config.octad.nodes)).document.facts.host;
      defaultText = lib.literalMD "what the nodes' facts say of it";
      readOnly = true;
      description = "The machine, as its nodes' facts have it.";
    };
  };
}
