# From what `octad facts` says of nodes to the NixOS configuration of the machine that they are on. Nothing else is read.
{ nixpkgs }:
let
  inherit (nixpkgs) lib;
  version = 3;
  known = [
    "admit"
    "data_files"
    "facts"
    "fence"
    "files"
    "process"
    "serves"
    "stateless"
    "version"
    "watchdog"
    "written"
  ];
  platforms = import ../images/platforms // {
    own = { };
  };
  hostOf = document: document.facts.host;

  # Messages name the node, since evaluation is of many at once.
  checked =
    document:
    let
      # Of version 1 were the facts alone, in version 2 these modules knew octad's verbs.
      node = (document.facts or document).node or "a node without a name";
      fail = what: throw "${node}: ${what}";
      inherit (hostOf document) machine;
      # A part that isn't known may be one that nobody is safe without.
      unknown = lib.subtractLists known (lib.attrNames document);
    in
    if document.version or null != version then
      fail "its facts are of version ${
        toString (document.version or "none")
      }, and these modules read version ${toString version}: use the octad and the flake of one release"
    else if unknown != [ ] then
      fail "these modules don't know what `${lib.head unknown}` in its facts is for: use the octad and the flake of one release"
    else if !(hostOf document ? machine) then
      fail "its facts name no machine: say what NixOS is to run it on, under [hosts.machine] in the stack file"
    else if !(platforms ? ${machine.platform}) then
      fail "there is no platform `${machine.platform}` (known: ${lib.concatStringsSep ", " (lib.attrNames platforms)})"
    else if !(document.stateless or false) && !(machine ? data_disk) then
      fail "it keeps data, and its facts name no data disk of its machine"
    else
      document;

  # Nodes of one machine.
  together =
    documents:
    let
      all = map checked documents;
      first = lib.head all;
      name = (hostOf first).name;
      names = lib.concatMapStringsSep " and " (document: document.facts.node);
      # Those that say the same, where only one may.
      alike =
        of: entries:
        lib.findFirst (same: lib.length same > 1) null (lib.attrValues (lib.groupBy of entries));
      members = alike (document: document.facts.group) all;
      listeners = alike (entry: toString entry.port) (
        lib.concatMap (
          document: map (port: document // { inherit port; }) (lib.attrValues document.facts.ports)
        ) all
      );
      # Only those whom a zone concerns are told of it.
      where = document: {
        inherit (document.facts) stack;
        inherit (hostOf document) name address machine;
      };
      stranger = lib.findFirst (document: where document != where first) null all;
    in
    if documents == [ ] then
      throw "a host without a node has no configuration"
    else if stranger != null then
      throw "${name}: ${
        names [
          first
          stranger
        ]
      } are not of one host of one stack"
    else if members != null then
      throw "${name}: ${names members} are of the group ${(lib.head members).facts.group}, and one failure would take them all: give each a host of its own"
    else if listeners != null then
      throw "${name}: ${names listeners} listen on port ${toString (lib.head listeners).port}"
    else
      all;
in
rec {
  # The module of a machine that runs these nodes.
  hostModule =
    documents:
    let
      all = together documents;
    in
    {
      imports = [
        (import ./modules).default
        platforms.${(hostOf (lib.head all)).machine.platform}
      ];
      octad.nodes = lib.listToAttrs (
        lib.imap0 (
          at: document:
          lib.nameValuePair document.facts.node {
            inherit document;
            jmxPort = lib.mkDefault (9999 + at);
          }
        ) all
      );
    };

  # The same for one that runs one node.
  nodeModule = document: hostModule [ document ];

  # The configuration of a machine, as nixosConfigurations takes it. Modules that its facts name are paths from `root`.
  mkHostAt =
    root: documents:
    let
      host = hostOf (lib.head (together documents));
    in
    lib.nixosSystem {
      # An argument rather than an option, so that imports may depend on it.
      specialArgs = { inherit host; };
      modules = [ (hostModule documents) ] ++ map (path: root + "/${path}") host.machine.modules;
    };

  # The configurations of all machines of a stack, by host.
  mkHostsAt =
    root: documents:
    lib.mapAttrs (_: mkHostAt root) (
      lib.groupBy (document: (hostOf (checked document)).name) (lib.attrValues documents)
    );

  # What was written by stack and node, from a directory of STACK/NODE.json.
  readFacts =
    directory:
    lib.mapAttrs (
      stack: _:
      lib.mapAttrs' (
        file: _:
        lib.nameValuePair (lib.removeSuffix ".json" file) (lib.importJSON (directory + "/${stack}/${file}"))
      ) (builtins.readDir (directory + "/${stack}"))
    ) (builtins.readDir directory);
}
