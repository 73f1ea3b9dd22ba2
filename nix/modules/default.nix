# The flake's nixosModules. `node` is what lib.mkNode makes a machine of; the others are its parts. All of them take the
# facts as the argument `facts`.
{
  node = ./node.nix;
  kafka = ./kafka.nix;
  zookeeper = ./zookeeper.nix;
  data-disk = ./data-disk.nix;
  firewall = ./firewall.nix;
  base = ./base.nix;
}
