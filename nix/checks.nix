# What `nix flake check` builds.
{
  self,
  pkgs,
  system,
  ...
}:
let
  packages = self.packages.${system};
  rendered = import ./rendered.nix {
    inherit pkgs;
    configurations = self.nixosConfigurations;
  };
in
{
  inherit (packages)
    octad
    kafka
    deploy
    format-data-disk
    ;

  # The eight nodes and all failovers, in virtual machines; the other tests are in vmTests.
  inherit (self.vmTests.${system}) failover;

  format = pkgs.runCommand "format" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
    find ${self} -name '*.nix' -exec nixfmt --check {} +
    touch $out
  '';

  dead-code = pkgs.runCommand "dead-code" { nativeBuildInputs = [ pkgs.deadnix ]; } ''
    deadnix --fail ${self}
    touch $out
  '';

  # Rust compares the same files with what it writes for local hosts.
  golden = pkgs.runCommand "golden" { } ''
    diff --recursive --exclude=units ${./golden} ${rendered}
    touch $out
  '';

  units =
    pkgs.runCommand "units"
      {
        nativeBuildInputs = [
          pkgs.systemd
          pkgs.jq
        ];
      }
      ''
        ${pkgs.runtimeShell} ${../scripts/check-units} ${rendered}
        touch $out
      '';
}
