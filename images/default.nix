# Images by role and platform, as image-ROLE-PLATFORM. They hold what is heavy; which node a machine is comes later, as
# the closure of its configuration.
{
  nixpkgs,
  pkgs,
  # Further ones for all of them.
  modules ? [ ],
}:
let
  inherit (pkgs) lib;
  roles = {
    kafka = ./kafka.nix;
    zookeeper = ./zookeeper.nix;
  };
  imagesOf =
    role: module:
    let
      inherit
        (nixpkgs.lib.nixosSystem {
          modules = [
            module
            { nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system; }
          ]
          ++ modules;
        })
        config
        ;
    in
    lib.mapAttrs' (platform: lib.nameValuePair "image-${role}-${platform}") config.system.build.images;
in
lib.concatMapAttrs imagesOf roles
