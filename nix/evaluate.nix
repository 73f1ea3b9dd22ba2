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
  tools = import ./lib.nix {
    nixpkgs.lib = lib // {
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
  };
  given = if world == null then null else import world { inherit nixpkgs; };
  standIn = {
    modules = given.modules ++ [ { nixpkgs.pkgs = given.pkgs; } ];
  };
  configurations = import ./configurations.nix { inherit (tools) mkHosts readFacts; };
in
{
  inherit lib;
  inherit (tools) mkHost readFacts;
  rendered = import ./rendered.nix (
    if given == null then
      {
        inherit configurations;
        pkgs = import nixpkgs { };
      }
    else
      {
        inherit (given) pkgs;
        configurations = lib.mapAttrs (
          _: configuration: configuration.extendModules standIn
        ) configurations;
      }
  );
}
