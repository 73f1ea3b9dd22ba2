# Nodes beyond those of the example stacks, for scripts/check-nix: on each platform, and those that must be refused with
# what is said of them. All messages name the node.
{ nixpkgs }:
let
  inherit (import ./evaluate.nix { inherit nixpkgs; }) lib mkNode readFacts;
  stack = (readFacts ./facts).minimal-nixos;
  broker = stack.broker-1;
  with' = lib.recursiveUpdate broker;
  toplevel = facts: (mkNode facts).config.system.build.toplevel.drvPath;
in
{
  platforms = lib.genAttrs (lib.attrNames (import ../images/platforms)) (
    platform:
    toplevel (with' {
      host.machine.platform = platform;
    })
  );

  refused = {
    newer-facts = {
      evaluated = toplevel (with' {
        version = 2;
      });
      says = "broker-1: its facts are of version 2";
    };
    no-version = {
      evaluated = toplevel (removeAttrs broker [ "version" ]);
      says = "broker-1: its facts are of version none";
    };
    local-host = {
      evaluated = toplevel (broker // { host = removeAttrs broker.host [ "machine" ]; });
      says = "broker-1: its facts name no machine";
    };
    unknown-platform = {
      evaluated = toplevel (with' {
        host.machine.platform = "toaster";
      });
      says = "broker-1: there is no platform `toaster`";
    };
    unknown-role = {
      evaluated = toplevel (with' {
        role = "canary";
      });
      says = "broker-1: there is no role `canary`";
    };
    loopback = {
      evaluated = toplevel (with' {
        host.address = "127.0.0.1";
      });
      says = "broker-1: at 127.0.0.1 no other machine can reach it";
    };
    other-kafka = {
      evaluated = toplevel (with' {
        software.version = "3.9.1";
      });
      says = "broker-1: its facts are for Kafka 3.9.1";
    };
    both-on-one = {
      evaluated =
        ((mkNode broker).extendModules { modules = [ { services.zookeeper.enable = true; } ]; })
        .config.system.build.toplevel.drvPath;
      says = "broker-1: ZooKeeper and Kafka are on one machine";
    };
  };
}
