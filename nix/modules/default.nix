# The flake's nixosModules. `default` is all of them: lib.hostModule declares nodes and a platform with it.
let
  parts = {
    base = ./base.nix;
    data-disk = ./data-disk.nix;
    firewall = ./firewall.nix;
    host = ./host.nix;
    nodes = ./nodes.nix;
    system = ./system.nix;
  };
in
parts // { default.imports = builtins.attrValues parts; }
