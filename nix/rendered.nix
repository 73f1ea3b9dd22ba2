# What NixOS makes of the facts, as text: configuration files and units of every configuration, as NAME/FILE. Tests
# compare and verify it; nothing of it needs a kernel or a compiler.
{ pkgs, configurations }:
let
  inherit (pkgs) lib;

  filesOf =
    name:
    { config, ... }:
    let
      inherit (config.systemd) services units;
      ours = lib.filterAttrs (
        file: entry: lib.hasPrefix "octad/" file && entry.enable
      ) config.environment.etc;
      unit = lib.findFirst (unit: services ? ${unit}) null [
        "apache-kafka"
        "zookeeper"
      ];
      inherit (services.${unit}) serviceConfig;
      # What octad is told, without the path of the program, which is another one for each version of it, and without
      # what follows.
      told =
        verb: line:
        let
          words = lib.splitString "/bin/octad\" \"${verb}\" " line;
        in
        if lib.length words == 1 then
          ""
        else
          lib.head (lib.splitString "\n" (lib.head (lib.splitString " \"--\" " (lib.last words))));
    in
    lib.mapAttrs' (file: entry: lib.nameValuePair "${name}/${baseNameOf file}" entry.source) ours
    // {
      "${name}/admit" = pkgs.writeText "admit" (told "admit" services.${unit}.preStart + "\n");
      "${name}/fence" = pkgs.writeText "fence" (told "fence" (serviceConfig.ExecStopPost or "") + "\n");
      "${name}/watchdog" = pkgs.writeText "watchdog" (told "watchdog" serviceConfig.ExecStart + "\n");
    }
    // lib.listToAttrs (
      map (unit: lib.nameValuePair "${name}/units/${unit}" "${units.${unit}.unit}/${unit}") [
        "${unit}.service"
        "octad-grow-data-disk.service"
      ]
    );
in
pkgs.linkFarm "rendered" (lib.concatMapAttrs filesOf configurations)
