# What the flake has, for a nixpkgs of one's own.
final: _: {
  octad = final.callPackage ./package.nix { };
  octad-format-data-disk = final.callPackage ./format-data-disk.nix { };
  # Not `kafka`: what else is built with nixpkgs' stays as it is.
  kafka_3_9 = final.callPackage ./kafka.nix { };
}
