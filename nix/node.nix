# A node as systemd runs it, from its document. Nothing here knows a role: files, commands and arguments are Octad's, and
# only the directories in them are this machine's.
{
  lib,
  pkgs,
  octad,
  dataDir,
  # The unit that mounts it.
  mount,
  escape,
}:
name: node:
let
  inherit (node) document;
  inherit (document) facts;
  source = lib.head (lib.attrNames facts.software.source);
  keepsData = !(document.stateless or false);

  java = import ./java { inherit lib pkgs; };
  jars = java.software {
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
        "@software@"
      ]
      [
        config
        data
        runtime
        "${node.package}"
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

  # A command beside the process.
  beside = map (word: if word == "@octad@" then "${octad}/bin/octad" else filled "${config}" word);
  # Where a program is within the package, by where the software comes from.
  folders = {
    archive = "";
    installed = "bin/";
  };
  folder = folders.${source} or (throw "${name}: its software is ${source}, which hold no program");
  # By the form of the process.
  commands.java =
    process:
    [ "${node.jre}/bin/java" ]
    ++ jars.arguments
    ++ lib.optionals (facts ? jvm) (java.limits facts.jvm)
    ++ java.metrics node.jmxPort
    ++ fill process.options
    ++ node.jvmOptions
    ++ [ process.main ]
    ++ fill process.arguments;
  commands.program =
    process: [ "${node.package}/${folder}${process.executable}" ] ++ fill process.arguments;
  form = lib.head (lib.attrNames document.process);
  command =
    (commands.${form} or (throw "${name}: a process of the form `${form}` can't be run here"))
      document.process.${form};
in
{
  inherit config unit user;

  service = lib.mkMerge [
    (import ./modules/service.nix { inherit unit; })
    (lib.mkIf keepsData {
      # Also with a disk that appears later than the machine waits for it.
      wantedBy = [ mount ];
      unitConfig = {
        RequiresMountsFor = dataDir;
        # Where the disk isn't mounted, its mount point is an empty directory like any other.
        AssertPathIsMountPoint = dataDir;
      };
      # systemd makes what is there the service's own.
      serviceConfig = {
        StateDirectory = "${baseNameOf dataDir}/${name}";
        StateDirectoryMode = "0700";
      };
    })
    {
      description = "${name}, ${facts.role} of ${facts.group}";
      wantedBy = [ "multi-user.target" ];
      environment =
        lib.mapAttrs (_: filled "${config}") (document.process.${form}.environment or { })
        // {
          # By this a process tells of which document it is: whoever changes that begins it anew.
          OCTAD_DOCUMENT = builtins.hashString "sha256" (builtins.toJSON document);
        };
      # What was stopped by `octad` stays so, also where the machine boots.
      unitConfig.ConditionPathExists = "!/var/lib/octad-deploy/stopped/${name}";
      # An empty disk is one that was lost, or another one: a member that started on it would count as having what it
      # lacks. One of the two must be there, and leave is worth nothing where its group counts on it.
      unitConfig.AssertPathExists = lib.mkIf (document ? written) [
        "|${data}/${document.written}"
        "|${data}/octad-fresh"
      ];
      serviceConfig = {
        User = user;
        ExecStartPre =
          lib.optional (document ? admit) (escape (beside document.admit))
          ++ lib.mapAttrsToList (
            file: text:
            escape [
              "${pkgs.coreutils}/bin/install"
              "-m600"
              "${pkgs.writeText file text}"
              "${data}/${file}"
            ]
          ) (document.data_files or { });
        # A watchdog becomes what follows, and leaves one behind that watches.
        ExecStart = escape (beside (document.watchdog or [ ]) ++ command);
        # Others take over within a moment instead of when its session expires. Never a reason to fail.
        ExecStopPost = lib.mkIf (document ? fence) ("-" + escape (beside document.fence));
      };
    }
  ];
}
