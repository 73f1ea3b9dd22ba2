# The example stacks with a nixpkgs tree of one's own choice, outside of the flake: for scripts/check-nix.
#
# `world` is a file that stands in for what can't be had where there is no binary cache: a function of `nixpkgs` that
# gives a package set `pkgs`, and `modules` that put other packages in place of those that can't be built.
{
  nixpkgs,
  world ? null,
}:
let
  lib = import (nixpkgs + "/lib");
  # What a flake of nixpkgs adds to it.
  flake.lib = lib // {
    nixosSystem =
      arguments:
      import (nixpkgs + "/nixos/lib/eval-config.nix") (
        {
          inherit lib;
          system = null;
        }
        // arguments
      );
  };
  tools = import ./lib.nix { nixpkgs = flake; };
  given = if world == null then null else import world { inherit nixpkgs; };
  standIn = {
    modules = given.modules ++ [ { nixpkgs.pkgs = given.pkgs; } ];
  };
  pkgs = if given == null then import nixpkgs { } else given.pkgs;
  configurations =
    let
      declared = import ./configurations.nix { inherit (tools) mkHosts readFacts; };
    in
    if given == null then
      declared
    else
      lib.mapAttrs (_: configuration: configuration.extendModules standIn) declared;
in
{
  inherit lib configurations;
  inherit (tools) mkHost readFacts;
  rendered = import ./rendered.nix { inherit configurations pkgs; };
  images = import ../images (
    {
      nixpkgs = flake;
      inherit pkgs;
    }
    // lib.optionalAttrs (given != null) standIn
  );
}
