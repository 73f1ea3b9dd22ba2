# All tests of whole machines, as virtual machines: `nix build .#vmTests.x86_64-linux.NAME`.
{
  self,
  nixpkgs,
  pkgs,
  ...
}:
let
  inherit (pkgs) lib;
in
lib.mapAttrs (_: test: pkgs.testers.runNixOSTest test) (
  import ../vm-tests {
    inherit (nixpkgs) lib;
    tools = self.lib;
    kind = "nodes";
  }
)
