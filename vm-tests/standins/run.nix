# The tests whose machines are containers of stand-ins, by name.
{
  nixpkgs,
  # A module that breaks something on purpose, to see which test tells.
  mutation ? { },
}:
let
  world = import ./. { inherit nixpkgs; };
  inherit (world.pkgs) lib;
  tests = import ../. {
    inherit lib;
    tools = import ../../nix/lib.nix { nixpkgs.lib = lib; };
    kind = "containers";
    modules = world.modules ++ [ mutation ];
  };
in
lib.mapAttrs (
  _: test:
  (import (nixpkgs + "/nixos/lib") { inherit lib; }).runTest {
    imports = [ test ];
    hostPkgs = world.pkgs;
    # Not node.pkgs, which would make all of nixpkgs.* read-only.
    defaults.nixpkgs.pkgs = world.pkgs;
    containerDefaults = ./container.nix;
    # Checked by what PyPI has, where the world has it.
    skipTypeCheck = !builtins.pathExists /opt/tools/bin/ty;
    skipLint = !builtins.pathExists /opt/tools/bin/ruff;
  }
) tests
