# Nothing in this cluster asks who somebody is, so the network is its border: the stack's own machines reach each
# other's ports, clients those that serve them, and nobody else anything but SSH.
{
  config,
  lib,
  ...
}:
let
  inherit (config.octad) host nodes;
  set = entries: "{ ${lib.concatMapStringsSep ", " toString entries} }";
  documents = lib.mapAttrsToList (_: node: node.document) nodes;
  all = lib.concatMap (document: lib.attrValues document.facts.ports) documents;
  served = lib.concatMap (
    document: map (purpose: document.facts.ports.${purpose}) (document.serves or [ ])
  ) documents;
in
{
  networking.firewall.extraInputRules =
    lib.optionalString (all != [ ]) ''
      ip saddr ${host.machine.peers} tcp dport ${set all} accept comment "the stack's own machines"
    ''
    + lib.optionalString (served != [ ] && host.machine.clients != [ ]) ''
      ip saddr ${set host.machine.clients} tcp dport ${set served} accept comment "clients"
    '';
}
