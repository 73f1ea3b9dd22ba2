# From a node's facts to its NixOS configuration. The facts are the only thing that is read; `octad facts` writes them.
{ nixpkgs }:
let
  inherit (nixpkgs) lib;
  factsVersion = 1;

  # The message names the node, since evaluation is of many at once.
  checked =
    facts:
    let
      node = facts.node or "a node without a name";
      fail = what: throw "${node}: ${what}";
    in
    if facts.version or null != factsVersion then
      fail "its facts are of version ${
        toString (facts.version or "none")
      }, and these modules read version ${toString factsVersion}: use the octad and the flake of one release"
    else if !(facts.host ? machine) then
      fail "its facts name no machine: say what NixOS is to run it on, under [hosts.machine] in the stack file"
    else
      facts;
in
rec {
  # The configuration of a node, as nixosConfigurations takes it. Modules that its facts name are paths from `root`.
  mkNodeAt =
    root: given:
    let
      facts = checked given;
    in
    lib.nixosSystem {
      # An argument rather than an option, so that imports may depend on it.
      specialArgs = { inherit facts; };
      modules = [ ./modules/node.nix ] ++ map (path: root + "/${path}") facts.host.machine.modules;
    };

  mkNode = mkNodeAt ../.;

  # Facts by stack and node, from a directory of STACK/NODE.json.
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
