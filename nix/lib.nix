# From what `octad facts` says of nodes to the NixOS configuration of the machine that they are on. Nothing else is read.
{ nixpkgs }:
let
  inherit (nixpkgs) lib;
  version = 4;
  known = [
    "admit"
    "check"
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

  # The configuration of a machine, as nixosConfigurations takes it:
  #   documents      of the nodes that it runs
  #   root           from where the modules that its facts name are paths
  #   modules        further ones, such as those of sops-nix or disko, which get `host` as well
  #   specialArgs    for all of them
  mkHost =
    {
      documents,
      root,
      modules ? [ ],
      specialArgs ? { },
    }:
    let
      host = hostOf (lib.head (together documents));
      named =
        path:
        if builtins.pathExists (root + "/${path}") then
          root + "/${path}"
        else
          throw "${host.name}: there is no module `${path}`, which its facts name, in ${toString root}; of a flake in git only files that git knows are there: `git add` it";
    in
    lib.nixosSystem {
      # An argument rather than an option, so that imports may depend on it.
      specialArgs = specialArgs // {
        inherit host;
      };
      modules = [
        (hostModule documents)
        # Behind whatever a module of its owner says, also as a default: hardware is theirs.
        { nixpkgs.hostPlatform = lib.mkOverride 1200 "x86_64-linux"; }
      ]
      ++ map named host.machine.modules
      ++ modules;
    };

  # The configurations of all machines of a stack, by host, from its documents by node.
  mkHosts =
    arguments:
    lib.mapAttrs (_: documents: mkHost (arguments // { inherit documents; })) (
      lib.groupBy (document: (hostOf (checked document)).name) (lib.attrValues arguments.documents)
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
