# The tests whose machines are containers of stand-ins, by name.
{
  nixpkgs,
  # A module that breaks something on purpose, to see which test tells.
  mutation ? { },
  # The same for what the machines are made of: a function of the documents of all nodes, by stack and node.
  facts ? (_: stacks: stacks),
}:
let
  world = import ./. { inherit nixpkgs; };
  inherit (world.pkgs) lib;
  library = import ../../nix/lib.nix { nixpkgs.lib = lib; };
  tests = import ../. {
    inherit lib;
    tools = library // {
      readFacts = directory: facts lib (library.readFacts directory);
    };
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
