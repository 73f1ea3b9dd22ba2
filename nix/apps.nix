# `nix run .#deploy -- up` is `octad up`.
{ self, system, ... }:
let
  deploy = {
    type = "app";
    program = "${self.packages.${system}.deploy}/bin/octad";
    meta.description = "Octad with everything that it needs";
  };
in
{
  inherit deploy;
  default = deploy;
}
