# What the services of all nodes share: when they start and end, and what they may touch.
{ unit }:
{
  wants = [
    "network-online.target"
    "time-sync.target"
  ];
  after = [
    "network-online.target"
    # Kafka's records have the machine's time. base.nix bounds the wait.
    "time-sync.target"
  ];

  unitConfig = {
    # The next attempt may always be the one that succeeds: a peer came back, a disk was mended.
    StartLimitIntervalSec = 0;
  };

  serviceConfig = {
    # However it ended: a SIGTERM may come from anybody, and servers exit with 0 after a failed disk. A stop that
    # systemd is asked for stays one.
    Restart = "always";
    RestartSec = "1s";
    RestartSteps = 5;
    RestartMaxDelaySec = "30s";
    # A broker with many partitions flushes and hands over each of them.
    TimeoutStopSec = 300;
    # Kafka holds open each segment of each partition.
    LimitNOFILE = 100000;
    # The fence waits for the process to be gone, and writing its memory out takes seconds.
    LimitCORE = 0;

    # A JVM that is asked to end says so in its exit code.
    SuccessExitStatus = 143;

    RuntimeDirectory = unit;
    RuntimeDirectoryMode = "0700";
    WorkingDirectory = "/run/${unit}";
    UMask = "0077";

    # A JVM writes code and runs it, so MemoryDenyWriteExecute can't be; all else can.
    CapabilityBoundingSet = "";
    DevicePolicy = "closed";
    LockPersonality = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateTmp = true;
    PrivateUsers = true;
    ProcSubset = "pid";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictAddressFamilies = [
      "AF_INET"
      "AF_INET6"
      "AF_UNIX"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    # Refused calls fail rather than kill: the JVM tries some and does without.
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
    ];
  };
}
