# What NixOS makes of the documents, as text: configuration files, commands and units of every node, as
# STACK-NODE/FILE. Tests compare and verify it; nothing of it needs a kernel or a compiler.
{ pkgs, configurations }:
let
  inherit (pkgs) lib;

  # Names in the store are other ones for each version of what they hold.
  nameless =
    text:
    lib.concatMapStrings (part: if lib.isList part then "STORE" else part) (
      builtins.split "/nix/store/[^/ \"]+" (builtins.unsafeDiscardStringContext text)
    );

  filesOf =
    config: name: node:
    let
      inherit (config.systemd) services units;
      unit = "octad-${name}";
      inherit (services.${unit}) serviceConfig;
      commands =
        lib.concatMap
          (what: map (command: "${what}=${command}\n") (lib.toList (serviceConfig.${what} or [ ])))
          [
            "ExecStartPre"
            "ExecStart"
            "ExecStopPost"
          ];
      within = lib.mapAttrs' (file: lib.nameValuePair "${node.document.facts.stack}-${name}/${file}");
      unitOf = unit: "${units.${unit}.unit}/${unit}";
    in
    within {
      config = config.environment.etc."octad/${name}".source;
      commands = pkgs.writeText "commands" (nameless (lib.concatStrings commands));
      "units/${unit}.service" = unitOf "${unit}.service";
      "units/grow-octad-data-disk.service" = unitOf "grow-octad-data-disk.service";
    };

  nodesOf = { config, ... }: lib.concatMapAttrs (filesOf config) config.octad.nodes;
in
pkgs.linkFarm "rendered" (lib.concatMapAttrs (_: nodesOf) configurations)
