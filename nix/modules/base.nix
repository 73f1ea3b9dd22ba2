# What every machine has, also one from an image that doesn't know its node yet.
{ lib, ... }:
{
  imports = [ ./options.nix ];

  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  system.stateVersion = "26.05";
  # Each later change arrives as a closure and is switched to; images of appliances turn this off.
  system.switch.enable = true;

  services.openssh = {
    enable = true;
    settings = {
      PasswordAuthentication = false;
      KbdInteractiveAuthentication = false;
      # A deployment switches the system. Keys only.
      PermitRootLogin = "prohibit-password";
    };
  };

  # Of all platforms, also where the cloud's own firewall is relied on otherwise.
  networking.firewall.enable = true;
  networking.nftables.enable = true;

  # Brokers compare each other's clocks by the records' times, people by their logs.
  services.timesyncd.enable = true;

  # A JVM that is swapped out stands still for seconds; vm.max_map_count is high enough in nixpkgs already.
  boot.kernel.sysctl."vm.swappiness" = 1;

  # Logs and old generations must not fill the disk of the system: a week of both, within a bound.
  services.journald.extraConfig = ''
    SystemMaxUse=500M
    MaxRetentionSec=7day
  '';
  boot.loader.systemd-boot.configurationLimit = 10;
  boot.loader.grub.configurationLimit = lib.mkDefault 10;
  nix.gc = {
    automatic = true;
    options = "--delete-older-than 7d";
  };
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
}
