# The role `broker`: nixpkgs' services.apache-kafka with what the facts say.
{
  config,
  facts,
  lib,
  pkgs,
  utils,
  ...
}:
let
  cfg = config.services.apache-kafka;
  inherit (config.octad) dataDir;
  inherit (facts) settings;
  java = import ../java { inherit lib pkgs; };
  software = java.software {
    inherit facts;
    inherit (cfg) jre;
    folder = "${cfg.package}/libs";
  };
  command = utils.escapeSystemdExecArgs;
  inherit (import ../java/properties.nix) properties;
  text =
    value:
    if lib.isList value then
      lib.concatMapStringsSep "," text value
    else if lib.isBool value then
      lib.boolToString value
    else
      toString value;
in
{
  imports = [ ./options.nix ];

  services.apache-kafka = {
    enable = true;
    package = lib.mkDefault (pkgs.callPackage ../kafka.nix { });
    # nixpkgs types two of them itself.
    settings = settings // {
      "broker.id" = facts.id;
      listeners = lib.splitString "," settings.listeners;
      "log.dirs" = [ dataDir ];
    };
    jvmOptions = java.limits facts.jvm ++ java.metrics config.octad.jmxPort;
    log4jProperties = builtins.readFile ../../src/role/log4j.properties;
    # The same bytes as on a local host.
    configFiles.serverProperties = lib.mkForce (
      pkgs.writeText "server.properties" (
        properties (lib.mapAttrs (_: text) (lib.filterAttrs (_: value: value != null) cfg.settings))
      )
    );
  };

  systemd.services.apache-kafka = lib.mkMerge [
    (import ./service.nix { inherit dataDir; })
    {
      # An empty disk is one that was lost, or another one: a broker that started on it would count as in sync with
      # nothing to its name. One of the two must be there, and leave is worth nothing where the cluster counts on it.
      unitConfig.AssertPathExists = [
        "|${dataDir}/meta.properties"
        "|${dataDir}/octad-fresh"
      ];
      preStart = lib.mkBefore (command [
        "${config.octad.package}/bin/octad"
        "admit"
        "--data"
        dataDir
        "--zookeeper"
        settings."zookeeper.connect"
        "--broker"
        (toString facts.id)
        "--min-insync-replicas"
        settings."min.insync.replicas"
      ]);
      serviceConfig = {
        ExecStart = lib.mkForce (
          command (
            # Becomes what follows, and leaves one behind that watches.
            lib.optionals (facts.watchdog or false) [
              "${config.octad.package}/bin/octad"
              "watchdog"
              "--zookeeper"
              settings."zookeeper.connect"
              "--broker"
              (toString facts.id)
              "--min-insync-replicas"
              settings."min.insync.replicas"
              "--replica-lag-ms"
              settings."replica.lag.time.max.ms"
              "--"
            ]
            ++ [ "${cfg.jre}/bin/java" ]
            ++ software.arguments
            ++ [ "-Dlog4j.configuration=file:${cfg.configFiles.log4jProperties}" ]
            ++ cfg.jvmOptions
            ++ [
              "kafka.Kafka"
              "${cfg.configFiles.serverProperties}"
            ]
          )
        );
        # Others lead in its place within a moment instead of when its session expires. Never a reason to fail.
        ExecStopPost = lib.mkIf facts.fence (
          "-"
          + command [
            "${config.octad.package}/bin/octad"
            "fence"
            "--zookeeper"
            settings."zookeeper.connect"
            "--broker"
            (toString facts.id)
            "--endpoints"
            settings."advertised.listeners"
          ]
        );
      };
    }
  ];

  networking.firewall.extraInputRules = lib.mkIf (facts.host.machine.clients != [ ]) ''
    ip saddr { ${lib.concatStringsSep ", " facts.host.machine.clients} } tcp dport ${toString facts.ports.client} accept comment "clients"
  '';

  environment.systemPackages = [ cfg.package ];
  # For people; the unit names the file itself.
  environment.etc."octad/server.properties".source = cfg.configFiles.serverProperties;

  assertions = [
    {
      assertion = lib.hasSuffix facts.software.version cfg.package.version;
      message = "${facts.node}: its facts are for Kafka ${facts.software.version}, and services.apache-kafka.package is ${cfg.package.version}";
    }
  ];
}
