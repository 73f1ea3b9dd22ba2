# What every machine has, also one from an image that doesn't know its node yet.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  imports = [ ./options.nix ];

  system.stateVersion = lib.mkDefault "26.05";
  # Each later change arrives as a closure and is switched to; images of appliances turn this off.
  system.switch.enable = true;

  services.openssh = {
    enable = lib.mkDefault true;
    settings = {
      PasswordAuthentication = lib.mkDefault false;
      KbdInteractiveAuthentication = lib.mkDefault false;
      # A deployment switches the system. Keys only.
      PermitRootLogin = lib.mkDefault "prohibit-password";
    };
  };

  # Of all platforms, also where the cloud's own firewall is relied on otherwise.
  networking.firewall.enable = true;
  networking.nftables.enable = true;

  # Brokers compare each other's clocks by the records' times, people by their logs.
  services.timesyncd.enable = lib.mkDefault true;
  # Who is to have the right time waits for this, and not for ever: a machine without a time server must serve too.
  systemd.additionalUpstreamSystemUnits = [ "systemd-time-wait-sync.service" ];
  systemd.services.systemd-time-wait-sync = {
    wantedBy = [ "time-sync.target" ];
    serviceConfig.ExecStart = [
      ""
      "-${pkgs.coreutils}/bin/timeout 30 ${config.systemd.package}/lib/systemd/systemd-time-wait-sync"
    ];
  };

  # A JVM that is swapped out stands still for seconds; vm.max_map_count is high enough in nixpkgs already.
  boot.kernel.sysctl."vm.swappiness" = lib.mkDefault 1;

  # Logs must not fill the disk of the system: a week of them, within a bound.
  services.journald.extraConfig = ''
    SystemMaxUse=500M
    MaxRetentionSec=7day
  '';
  boot.loader.systemd-boot.configurationLimit = lib.mkDefault 10;
  boot.loader.grub.configurationLimit = lib.mkDefault 10;

  # Nor must old generations: ten stay, whatever their age, since the one to go back to may be an old one. Not on all
  # machines at once.
  nix.gc = {
    automatic = lib.mkDefault config.nix.enable;
    randomizedDelaySec = lib.mkDefault "6h";
  };
  systemd.services.nix-gc.preStart = lib.mkIf config.nix.enable ''
    ${config.nix.package.out}/bin/nix-env --profile /nix/var/nix/profiles/system --delete-generations +10
  '';
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
}
