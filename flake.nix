{
  description = "Octad: a highly available Kafka cluster, deployed node by node";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      forEachSystem =
        file:
        lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
          system:
          import file {
            inherit self nixpkgs system;
            pkgs = nixpkgs.legacyPackages.${system};
          }
        );
    in
    {
      lib = import ./nix/lib.nix { inherit nixpkgs; };
      nixosModules = import ./nix/modules;
      nixosConfigurations = import ./nix/configurations.nix { inherit (self.lib) mkHosts readFacts; };
      overlays.default = import ./nix/overlay.nix;
      templates.default = {
        path = ./nix/template;
        description = "The flake of a cluster: its stack file, and what its machines have beside their nodes";
      };
      # What `octad build` asks for, for machines that are no more than their facts say.
      octad =
        documents:
        self.lib.mkHosts {
          root = ./.;
          inherit documents;
        };

      packages = forEachSystem ./nix/packages.nix;
      apps = forEachSystem ./nix/apps.nix;
      checks = forEachSystem ./nix/checks.nix;
      devShells = forEachSystem ./nix/shells.nix;
      formatter = forEachSystem ./nix/formatter.nix;
      vmTests = forEachSystem ./nix/vm-tests.nix;
    };
}
