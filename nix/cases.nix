# Nodes beyond those of the example stacks, for scripts/check-nix: on each platform, several on one machine, and those
# that must be refused with what is said of them. All messages name the node or the host.
{ nixpkgs }:
let
  inherit (import ./evaluate.nix { inherit nixpkgs; }) lib mkHost readFacts;
  stacks = readFacts ./facts;
  broker = stacks.minimal-nixos.broker-1;
  # Of examples/canary.rs.
  canary = stacks.canary-nixos.canary-1;
  with' = lib.recursiveUpdate broker;
  # On the broker's host, of whose zone ZooKeeper isn't told.
  zookeeper = lib.recursiveUpdate stacks.minimal-nixos.zk-1 {
    facts.host = removeAttrs broker.facts.host [ "zone" ];
  };
  configuration =
    documents:
    (mkHost {
      root = ../.;
      inherit documents;
    }).config;
  host = documents: (configuration documents).system.build.toplevel.drvPath;
  node = document: host [ document ];
in
{
  platforms = lib.genAttrs (lib.attrNames (import ../images/platforms)) (
    platform:
    node (with' {
      facts.host.machine.platform = platform;
    })
  );

  several.broker-and-zookeeper = host [
    broker
    zookeeper
  ];
  # Without a disk, where nobody keeps data.
  several.no-disk = node (
    canary
    // {
      facts = canary.facts // {
        host = canary.facts.host // {
          machine = removeAttrs canary.facts.host.machine [ "data_disk" ];
        };
      };
    }
  );
  # Of an archive, which isn't fetched for that.
  several.archive = node (
    canary
    // {
      process.program = {
        executable = "bin/canary";
        arguments = [ "--home=@software@" ];
      };
      facts = canary.facts // {
        software = {
          name = "canary";
          version = "1.0";
          source.archive = {
            url = "https://example.org/canary-1.0.tar.gz";
            sha256 = lib.concatStrings (lib.replicate 64 "0");
            strip = 1;
          };
        };
      };
    }
  );

  several.broker-and-canary = host [
    broker
    (lib.recursiveUpdate canary {
      facts = {
        inherit (broker.facts) stack;
        host = removeAttrs broker.facts.host [ "zone" ];
      };
    })
  ];

  # Changes with what the program is made of, and with nothing else.
  unit = (configuration [ broker ]).systemd.units."octad-broker-1.service".unit.drvPath;

  refused = {
    no-module = {
      evaluated = node (with' {
        facts.host.machine.modules = [ "hosts/comon.nix" ];
      });
      says = "broker-1: there is no module `hosts/comon.nix`, which its facts name";
    };
    newer-facts = {
      evaluated = node (with' {
        version = broker.version + 1;
      });
      says = "broker-1: its facts are of version ${toString (broker.version + 1)}";
    };
    older-document = {
      evaluated = node (with' {
        version = broker.version - 1;
      });
      says = "broker-1: its facts are of version ${toString (broker.version - 1)}";
    };
    older-facts = {
      evaluated = node (broker.facts // { version = 1; });
      says = "broker-1: its facts are of version 1";
    };
    no-version = {
      evaluated = node (removeAttrs broker [ "version" ]);
      says = "broker-1: its facts are of version none";
    };
    unknown-part = {
      evaluated = node (broker // { health = [ ]; });
      says = "broker-1: these modules don't know what `health` in its facts is for";
    };
    local-host = {
      evaluated = node (
        broker
        // {
          facts = broker.facts // {
            host = removeAttrs broker.facts.host [ "machine" ];
          };
        }
      );
      says = "broker-1: its facts name no machine";
    };
    unknown-platform = {
      evaluated = node (with' {
        facts.host.machine.platform = "toaster";
      });
      says = "broker-1: there is no platform `toaster`";
    };
    unknown-software = {
      evaluated = node (with' {
        facts.software.name = "canary";
      });
      says = "broker-1: there is no software `canary`";
    };
    unknown-process = {
      evaluated = node (broker // { process.wasm = { }; });
      says = "broker-1: a process of the form `wasm` can't be run here";
    };
    unknown-source = {
      evaluated = node (
        broker
        // {
          facts = broker.facts // {
            software = broker.facts.software // {
              source.a-tape = { };
            };
          };
        }
      );
      says = "broker-1: software of the source `a-tape` can't be had here";
    };
    program-of-jars = {
      evaluated = node (
        broker
        // {
          process.program = {
            executable = "kafka";
            arguments = [ ];
          };
        }
      );
      says = "broker-1: its software is jars, which hold no program";
    };
    unknown-package = {
      evaluated = node (lib.recursiveUpdate canary { facts.software.name = "python-of-the-future"; });
      says = "canary-1: nixpkgs has no package `python-of-the-future`";
    };
    older-program = {
      evaluated = node (lib.recursiveUpdate canary { facts.software.version = "99"; });
      says = "canary-1: its facts are for python3 99 or newer, and octad.nodes.canary-1.package is";
    };
    no-disk = {
      evaluated = node (
        broker
        // {
          facts = broker.facts // {
            host = broker.facts.host // {
              machine = removeAttrs broker.facts.host.machine [ "data_disk" ];
            };
          };
        }
      );
      says = "broker-1: it keeps data, and its facts name no data disk of its machine";
    };
    loopback = {
      evaluated = node (with' {
        facts.host.address = "127.0.0.1";
      });
      says = "broker-1: at 127.0.0.1 no other machine can reach it";
    };
    other-kafka = {
      evaluated = node (with' {
        facts.software.version = "3.9.1";
      });
      says = "broker-1: its facts are for kafka 3.9.1";
    };
    nobody = {
      evaluated = host [ ];
      says = "a host without a node has no configuration";
    };
    two-of-a-group = {
      evaluated = host [
        stacks.ha-nixos.broker-1
        (lib.recursiveUpdate stacks.ha-nixos.broker-2 {
          facts = { inherit (stacks.ha-nixos.broker-1.facts) host; };
        })
      ];
      says = "broker-1: broker-1 and broker-2 are of the group kafka";
    };
    one-port = {
      evaluated = host [
        broker
        (lib.recursiveUpdate zookeeper { facts.ports.client = 9092; })
      ];
      says = "broker-1: broker-1 and zk-1 listen on port 9092";
    };
    two-hosts = {
      evaluated = host [
        broker
        stacks.minimal-nixos.zk-1
      ];
      says = "broker-1: broker-1 and zk-1 are not of one host of one stack";
    };
    two-stacks = {
      evaluated = host [
        broker
        (lib.recursiveUpdate zookeeper { facts.stack = "other"; })
      ];
      says = "broker-1: broker-1 and zk-1 are not of one host of one stack";
    };
  };
}
