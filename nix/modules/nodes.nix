# The nodes of a machine, as services.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  cfg = config.octad;
  run = import ../node.nix {
    inherit lib pkgs;
    inherit (cfg) dataDir;
    octad = cfg.package;
    mount = "${utils.escapeSystemdPath cfg.dataDir}.mount";
    escape = utils.escapeSystemdExecArgs;
  };
  nodes = lib.mapAttrs run cfg.nodes;
  each = make: lib.mapAttrs' (_: make) nodes;
in
{
  imports = [ ./options.nix ];

  systemd.services = each (node: lib.nameValuePair node.unit node.service);

  users.users = each (
    node:
    lib.nameValuePair node.user {
      isSystemUser = true;
      group = node.user;
      description = "Octad's ${node.unit}";
    }
  );
  users.groups = each (node: lib.nameValuePair node.user { });

  # For people: the tools of its software, and its files. The unit names the files themselves.
  environment.systemPackages = lib.mapAttrsToList (_: node: node.package) cfg.nodes;
  environment.etc = lib.mkMerge (
    lib.mapAttrsToList (name: node: {
      "octad/${name}".source = node.config;
      # What was made of it is by its side: no node's name has a dot.
      "octad/${name}.json".text = builtins.toJSON cfg.nodes.${name}.document;
    }) nodes
  );

  assertions = lib.mapAttrsToList (
    name: node:
    let
      inherit (node.document.facts) software;
      inherit (node.package) version;
      installed = software.source.installed or { };
      exactly = version == software.version || lib.hasSuffix "-${software.version}" version;
      serves =
        lib.versionAtLeast version software.version
        && (!(installed ? below) || lib.versionOlder version installed.below);
      wanted =
        software.version
        + lib.optionalString (software.source ? installed) " or newer"
        + lib.optionalString (installed ? below) ", below ${installed.below}";
    in
    {
      assertion = if software.source ? installed then serves else exactly;
      message = "${name}: its facts are for ${software.name} ${wanted}, and octad.nodes.${name}.package is ${version}";
    }
  ) cfg.nodes;
}
