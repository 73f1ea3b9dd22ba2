# What .ci/run and the scripts use.
{ pkgs, ... }:
{
  default = pkgs.mkShell {
    packages = with pkgs; [
      cargo
      clippy
      deadnix
      jdk17_headless
      maven
      nixfmt
      rustc
      rustfmt
    ];
  };
}
