# What a NixOS of stand-ins needs beyond its own configuration. Its /usr, /lib and /lib64 are the world's.
{ lib, pkgs, ... }:
{
  environment.stub-ld.enable = false;
  # The file itself: /lib64 may be a link to /usr/lib64.
  environment.ldso = lib.mkForce "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
  environment.defaultPackages = lib.mkForce [ ];
  services.nscd.enable = false;
  # Debian's sshd asks for it.
  systemd.tmpfiles.rules = [ "d /run/sshd 0755 root root -" ];
  system.nssModules = lib.mkForce [ ];
  security.enableWrappers = lib.mkDefault false;
  security.sudo.enable = lib.mkDefault false;
  security.polkit.enable = lib.mkDefault false;
  documentation.enable = false;
  documentation.man.enable = false;
  programs.command-not-found.enable = false;
  programs.nano.enable = lib.mkDefault false;
  fonts.fontconfig.enable = false;
  xdg.mime.enable = false;
  xdg.icons.enable = false;
  xdg.sounds.enable = false;
  xdg.autostart.enable = false;
  xdg.menus.enable = false;
  # The only locale there is.
  i18n.defaultLocale = lib.mkForce "C.UTF-8";
  i18n.glibcLocales = pkgs.glibcLocales;
  system.tools.nixos-rebuild.enable = false;
  system.disableInstallerTools = true;
  services.logrotate.enable = false;
  # openresolv is none of the stand-ins.
  networking.resolvconf.enable = false;
  # By a user-space kernel; here the rules are loaded for real.
  networking.nftables.checkRuleset = false;
  nix.enable = lib.mkDefault false;
}
