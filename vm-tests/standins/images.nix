# In place of nixpkgs for images, and for machines that boot from them: what nix/evaluate.nix takes as a world. Works only
# within a folder that `make-world --images` made, see docs/nix.md.
{ nixpkgs }:
let
  world = import ./. {
    inherit nixpkgs;
    overlays = [ (import ./image-packages.nix) ];
  };
in
world
// {
  modules = world.modules ++ [
    ./machine.nix
    ./image.nix
  ];
}
