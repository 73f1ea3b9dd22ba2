# The role `zookeeper`: nixpkgs' services.zookeeper with what the facts say.
{
  config,
  facts,
  lib,
  pkgs,
  utils,
  ...
}:
let
  cfg = config.services.zookeeper;
  inherit (config.octad) dataDir;
  java = import ../java { inherit lib pkgs; };
  software = java.software {
    inherit facts;
    inherit (cfg) jre;
    folder = "${cfg.package}/lib";
  };

  inherit (import ../java/properties.nix) properties;
  # Where the servers of the ensemble serve clients.
  client = server: "${lib.head (lib.splitString ":" server)}:${facts.settings.clientPort}";
  servers = lib.filterAttrs (name: _: lib.hasPrefix "server." name) facts.settings;

  # nixpkgs keeps its zoo.cfg to itself, and puts its directory on the class path, where a class-data archive bears no
  # directory. This one has the same bytes as on a local host, and what other modules add.
  zooCfg = pkgs.writeText "zoo.cfg" (
    properties (facts.settings // { inherit (cfg) dataDir; }) + cfg.extraConf
  );
in
{
  imports = [ ./options.nix ];

  services.zookeeper = {
    enable = true;
    inherit (facts) id;
    inherit dataDir;
    jre = lib.mkDefault pkgs.jdk17_headless;
    # nixpkgs' own has timeouts.
    extraConf = lib.mkDefault "";
    extraCmdLineOptions = java.limits facts.jvm ++ java.metrics config.octad.jmxPort;
    logging = builtins.readFile ../../src/role/logback.xml;
  };

  systemd.services.zookeeper = lib.mkMerge [
    (import ./service.nix { inherit dataDir; })
    {
      # Makes of leave, where all other servers have it too, ZooKeeper's own sign that an empty directory may be trusted.
      # Without it an empty member asks the others for what it lacks before it votes. nixpkgs makes version-2 after this.
      preStart = lib.mkBefore (
        utils.escapeSystemdExecArgs (
          [
            "${config.octad.package}/bin/octad"
            "admit"
            "--data"
            dataDir
          ]
          ++ lib.optionals (servers != { }) [
            "--servers"
            (lib.concatMapStringsSep "," client (lib.attrValues servers))
            "--own"
            (client servers."server.${toString facts.id}")
          ]
        )
      );
      serviceConfig.ExecStart = lib.mkForce (
        utils.escapeSystemdExecArgs (
          [ "${cfg.jre}/bin/java" ]
          ++ software.arguments
          ++ [ "-Dlogback.configurationFile=${pkgs.writeText "logback.xml" cfg.logging}" ]
          ++ lib.optional cfg.preferIPv4 "-Djava.net.preferIPv4Stack=true"
          ++ [ "-Dzookeeper.datadir.autocreate=false" ]
          ++ cfg.extraCmdLineOptions
          ++ [
            "org.apache.zookeeper.server.quorum.QuorumPeerMain"
            "${zooCfg}"
          ]
        )
      );
    }
  ];

  # For people; the unit names the file itself.
  environment.etc."octad/zoo.cfg".source = zooCfg;

  assertions = [
    {
      assertion = cfg.package.version == facts.software.version;
      message = "${facts.node}: its facts are for ZooKeeper ${facts.software.version}, and services.zookeeper.package is ${cfg.package.version}";
    }
  ];
}
