# A node as systemd runs it, from its document. Nothing here knows a role: files, commands and arguments are Octad's, and
# only the directories in them are this machine's.
{
  lib,
  pkgs,
  octad,
  dataDir,
  escape,
}:
name: node:
let
  inherit (node) document;
  inherit (document) facts;
  java = import ./java { inherit lib pkgs; };
  software = java.software {
    inherit facts;
    inherit (node) jre;
    folder = "${node.package}/${((import ./software.nix { inherit lib pkgs; }).of facts).jars}";
  };

  # Units and users share a machine's names with everything else on it. A user's name has at most 31 characters.
  unit = "octad-${name}";
  user =
    if lib.stringLength unit < 32 then
      unit
    else
      "octad-${lib.substring 0 25 (builtins.hashString "sha256" name)}";
  data = "${dataDir}/${name}";
  runtime = "/run/${unit}";

  # None of these directories has a character that a form of file would have escaped.
  filled =
    config:
    lib.replaceStrings
      [
        "@config@"
        "@data@"
        "@runtime@"
      ]
      [
        config
        data
        runtime
      ];
  config =
    pkgs.runCommand "${unit}-config"
      {
        __structuredAttrs = true;
        files = lib.mapAttrs (_: file: filled (placeholder "out") file.text) document.files;
      }
      ''
        mkdir "$out"
        for file in "''${!files[@]}"; do
          printf %s "''${files[$file]}" >"$out/$file"
        done
      '';
  fill = map (filled "${config}");

  ours =
    verb: arguments:
    [
      "${octad}/bin/octad"
      verb
    ]
    ++ fill arguments;
  # Becomes what follows, and leaves one behind that watches.
  watchdog = lib.optionals (document ? watchdog) (ours "watchdog" document.watchdog ++ [ "--" ]);
  # By the form of the process.
  commands.java =
    process:
    [ "${node.jre}/bin/java" ]
    ++ software.arguments
    ++ lib.optionals (facts ? jvm) (java.limits facts.jvm)
    ++ java.metrics node.jmxPort
    ++ fill process.options
    ++ node.jvmOptions
    ++ [ process.main ]
    ++ fill process.arguments;
  form = lib.head (lib.attrNames document.process);
  command =
    (commands.${form} or (throw "${name}: a process of the form `${form}` can't be run here"))
      document.process.${form};
in
{
  inherit config unit user;

  service = lib.mkMerge [
    (import ./modules/service.nix {
      inherit dataDir unit;
      directory = "${baseNameOf dataDir}/${name}";
    })
    {
      description = "${name}, ${facts.role} of ${facts.group}";
      wantedBy = [ "multi-user.target" ];
      # An empty disk is one that was lost, or another one: a member that started on it would count as having what it
      # lacks. One of the two must be there, and leave is worth nothing where its group counts on it.
      unitConfig.AssertPathExists = lib.mkIf (document ? written) [
        "|${data}/${document.written}"
        "|${data}/octad-fresh"
      ];
      serviceConfig = {
        User = user;
        ExecStartPre =
          lib.optional (document ? admit) (escape (ours "admit" document.admit))
          ++ lib.mapAttrsToList (
            file: text:
            escape [
              "${pkgs.coreutils}/bin/install"
              "-m600"
              "${pkgs.writeText file text}"
              "${data}/${file}"
            ]
          ) (document.data_files or { });
        ExecStart = escape (watchdog ++ command);
        # Others take over within a moment instead of when its session expires. Never a reason to fail.
        ExecStopPost = lib.mkIf (document ? fence) ("-" + escape (ours "fence" document.fence));
      };
    }
  ];
}
