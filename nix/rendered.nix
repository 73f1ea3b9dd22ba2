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
      inherit (services.${unit}) environment serviceConfig;
      process = lib.head (lib.attrValues node.document.process);
      # What NixOS adds by itself is left out.
      variables = map (variable: "Environment=${variable}=${environment.${variable}}\n") (
        lib.attrNames (process.environment or { })
      );
      of = what: map (command: "${what}=${command}\n") (lib.toList (serviceConfig.${what} or [ ]));
      commands = of "ExecStartPre" ++ variables ++ of "ExecStart" ++ of "ExecStopPost";
      within = lib.mapAttrs' (file: lib.nameValuePair "${node.document.facts.stack}-${name}/${file}");
      unitOf = unit: "${units.${unit}.unit}/${unit}";
    in
    within {
      config = config.environment.etc."octad/${name}".source;
      commands = pkgs.writeText "commands" (nameless (lib.concatStrings commands));
      "units/${unit}.service" = unitOf "${unit}.service";
    }
    // lib.optionalAttrs (units ? "grow-octad-data-disk.service") (within {
      "units/grow-octad-data-disk.service" = unitOf "grow-octad-data-disk.service";
    });

  nodesOf = { config, ... }: lib.concatMapAttrs (filesOf config) config.octad.nodes;
in
pkgs.linkFarm "rendered" (lib.concatMapAttrs (_: nodesOf) configurations)
