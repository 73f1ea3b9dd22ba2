{
  description = "A Kafka cluster that Octad deploys";

  inputs.octad.url = "github:example/octad";
  inputs.nixpkgs.follows = "octad/nixpkgs";

  outputs =
    { octad, ... }:
    {
      octad =
        documents:
        octad.lib.mkHosts {
          root = ./.;
          inherit documents;
        };
    };
}
