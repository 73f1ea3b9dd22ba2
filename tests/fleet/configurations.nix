# The machines of a fleet, as nixosConfigurations of the flake that `up` writes: what lib.mkHosts makes of the stack's facts,
# with stand-ins for packages and containers in place of hardware.
#
#   nixpkgs      the flake
#   octad        the program
#   tools        what cargo built of nixpkgs, see docs/nix.md
#   jars         the folder in which Octad keeps them
#   world        tells one world from another
#   documents    by node
#   root         from where the modules that facts name are paths
{
  nixpkgs,
  octad,
  tools,
  jars,
  world,
  documents,
  root,
}:
let
  inherit (nixpkgs) lib;
  standins = import ../../vm-tests/standins {
    nixpkgs = nixpkgs.outPath;
    inherit jars octad;
    given = { inherit tools world; };
  };
  # As it is, but for how it boots.
  own = document: lib.recursiveUpdate document { facts.host.machine.platform = "own"; };
in
(import ../../nix/lib.nix { inherit nixpkgs; }).mkHosts {
  inherit root;
  documents = lib.mapAttrs (_: own) documents;
  modules =
    standins.modules
    ++ [
      { nixpkgs.pkgs = standins.pkgs; }
      ./node.nix
    ]
    # What somebody wants of all machines besides.
    ++ lib.optional (builtins.pathExists (root + "/extra.nix")) (root + "/extra.nix");
}
