# Nothing in this cluster asks who somebody is, so the network is its border: the stack's own machines reach each
# other's ports, clients those that serve them, and nobody else anything but SSH.
{
  facts,
  lib,
  ...
}:
{
  networking.firewall.extraInputRules = ''
    ip saddr ${facts.host.machine.peers} tcp dport { ${
      lib.concatMapStringsSep ", " toString (lib.attrValues facts.ports)
    } } accept comment "the stack's own machines"
  '';
}
