# In place of nixpkgs where there is no binary cache: what nix/evaluate.nix and ../default.nix take as a world. Works only
# within a folder that make-world made, see docs/nix.md.
{
  nixpkgs,
  jars ? /lab/jars,
  octad ? /lab/octad,
  # `tools` and `world` of packages.nix, for who may not read this machine's own: a flake.
  given ? { },
  # Further stand-ins.
  overlays ? [ ],
}:
let
  pkgs = import ./packages.nix (
    given
    // {
      inherit nixpkgs;
      overlays = [ (import ./octad.nix { inherit jars octad; }) ] ++ overlays;
    }
  );
in
{
  inherit pkgs;
  modules = [
    (
      { lib, pkgs, ... }:
      {
        # One more declaration of the same option, which adds to each node.
        options.octad.nodes = lib.mkOption {
          type = lib.types.attrsOf (
            lib.types.submodule (
              { config, ... }:
              {
                config = lib.mkIf (config.document.facts.software.source ? jars) {
                  package = pkgs."octad-${config.document.facts.software.name}";
                };
              }
            )
          );
        };
        config.octad.package = pkgs.octad;
      }
    )
  ];
}
