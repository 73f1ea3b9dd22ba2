# The tests of whole machines, by name: each file here is one behaviour, as a module of nixpkgs' test framework. They run
# the configurations that lib.nodeModule makes of nix/facts, so of the machines that Octad declares.
#
#   tools     the flake's lib
#   kind      what the machines are: `nodes`, virtual machines, or `containers` of systemd-nspawn
#   modules   further ones for every machine
{
  lib,
  tools,
  kind,
  modules ? [ ],
}:
let
  cluster = import ./lib/cluster.nix {
    inherit
      lib
      tools
      kind
      modules
      ;
  };
  isTest = file: type: type == "regular" && lib.hasSuffix ".nix" file && file != "default.nix";
  files = lib.filterAttrs isTest (builtins.readDir ./.);
  named =
    file: _:
    lib.nameValuePair (lib.removeSuffix ".nix" file) (
      {
        kinds = [
          "containers"
          "nodes"
        ];
      }
      // import (./. + "/${file}") cluster
    );
  tests = lib.filterAttrs (_: test: lib.elem kind test.kinds) (lib.mapAttrs' named files);
  library = lib.concatMapStrings builtins.readFile [
    (./lib + "/${kind}.py")
    ./lib/cluster.py
  ];
in
lib.mapAttrs (name: test: {
  inherit name;
  ${kind} = test.machines;
  testScript =
    if lib.isFunction test.script then
      { nodes, containers }:
      library + test.script (if kind == "nodes" then nodes else containers)
    else
      library + test.script;
}) tests
