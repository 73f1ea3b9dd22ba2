//! Hosts to push to: real sshds and real Nix daemons, each in mounts of its own with a /nix of its own.

use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A new address for each host of this process; all ports are the same.
static ADDRESSES: AtomicU16 = AtomicU16::new(1);
const PORT: u16 = 2222;

/// Nix that is unpacked somewhere doesn't find itself, and nothing is to be built elsewhere.
const NO_HOOK: [&str; 3] = ["--option", "build-hook", ""];

/// What the script on a host takes, but for zstd.
const TOOLS: [&str; 13] =
    ["sh", "id", "uname", "head", "ln", "mkdir", "rm", "cat", "sleep", "wc", "sync", "grep", "mv"];

/// This machine's part: a store of its own, and the hosts that ssh knows.
pub(super) struct Lab {
    directory: TempDir,
    nix: PathBuf,
}

/// Has users of a host see this lab and the unpacked Nix, also where the way there is root's alone: what shuts them off is
/// mounted over, on that host only. `$1` is the lab, `$2` Nix.
const OPEN: &str = "
    open() {
        if [ \"$1\" != / ]; then
            case $(stat -c %A \"$1\") in *[xt]) ;; *) shut=$1 ;; esac
            open \"$(dirname \"$1\")\"
        fi
    }
    shut=; open \"$1\"; lab=$shut
    shut=; open \"$2\"; nix=$shut
    [ -z \"$lab\" ] || mount --bind \"$1\" /run/sshd
    [ -z \"$nix\" ] || mount --bind \"$2\" /nix
    [ -z \"$lab\" ] || mount -t tmpfs -o mode=755 none \"$lab\"
    [ -z \"$nix\" ] || [ \"$nix\" = \"$lab\" ] || mount -t tmpfs -o mode=755 none \"$nix\"
    [ -z \"$lab\" ] || { mkdir -p \"$1\"; mount --move /run/sshd \"$1\"; }
    [ -z \"$nix\" ] || { mkdir -p \"$2\"; mount --move /nix \"$2\"; }
";

/// A host.
pub(super) struct Host {
    sshd: Child,
    /// Ends with it: daemons.
    others: Vec<Child>,
    nix: String,
    directory: PathBuf,
    link: Arc<Link>,
}

/// What a host is to be.
#[derive(Default)]
pub(super) struct Sort {
    /// It has only the tools that the script takes.
    pub(super) without_zstd: bool,
    /// It has no Nix either.
    pub(super) without_nix: bool,
    /// The size of its store's disk, in MiB, where it has one of its own.
    pub(super) disk: Option<u32>,
    /// Further lines for its sshd.
    pub(super) sshd: &'static str,
    /// Further settings for its Nix.
    pub(super) nix: String,
}

/// The connections to a host, which go through this process.
#[derive(Default)]
struct Link {
    /// How many bytes pass until all is cut, once; 0: it isn't.
    left: AtomicU64,
}

impl Lab {
    /// `None` where this machine has not what it takes; `Err` tells what.
    pub(super) fn new() -> Result<Self, &'static str> {
        if !rustix::process::getuid().is_root() {
            return Err("only root can give hosts a /nix of their own");
        }
        if !Path::new("/usr/sbin/sshd").exists() {
            return Err("there is no sshd: apt-get install openssh-server");
        }
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/nix/bin");
        let on_path = std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path).find(|directory| directory.join("nix-daemon").exists())
        });
        let nix = std::env::var_os("OCTAD_NIX").map(PathBuf::from).or(on_path).or(Some(unpacked));
        let nix = nix.filter(|directory| directory.join("nix-daemon").exists());
        let nix = nix.ok_or("there is no Nix: `scripts/get-nix target/tools/nix` puts one there")?;
        // Where /nix is mounted over, it must be there; sshd asks for the other, as a service has it.
        fs::create_dir_all("/nix").unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let lab = Self { directory: tempfile::tempdir().unwrap(), nix };
        fs::set_permissions(lab.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for directory in ["own/store", "own/var", "tools", "tmp"] {
            fs::create_dir_all(lab.path().join(directory)).unwrap();
        }
        for tool in TOOLS {
            let places = ["/usr/bin", "/bin"].map(|bin| Path::new(bin).join(tool));
            let place = places.iter().find(|place| place.exists()).unwrap();
            symlink(place, lab.path().join("tools").join(tool)).unwrap();
        }
        for key in ["key", "host-key", "other-key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(lab.path().join(key));
            assert!(keygen.status().unwrap().success());
        }
        fs::copy(lab.path().join("key.pub"), lab.path().join("authorized")).unwrap();
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        // `chatty` is root with a shell that prints; `deploy` may run Nix's daemon as root, `guest` only with a password.
        let chatty = lab.path().join("chatty");
        fs::write(&chatty, "#!/bin/sh\necho Welcome to this host\nexec sh \"$@\"\n").unwrap();
        fs::set_permissions(&chatty, PermissionsExt::from_mode(0o755)).unwrap();
        let users = "guest:*:64001:64001::/tmp:/bin/sh\nmute:*:64002:64002::/tmp:/usr/sbin/nologin\n\
                     deploy:*:64003:64003::/tmp:/bin/sh\nchatty:*:0:0::/tmp:";
        fs::write(lab.path().join("passwd"), format!("{passwd}{users}{}\n", chatty.display())).unwrap();
        let nix = lab.nix.display();
        let sudoers = format!(
            "guest ALL=(root) ALL\ndeploy ALL=(root) NOPASSWD: {nix}/nix-daemon\nroot ALL=(ALL) ALL\n"
        );
        fs::write(lab.path().join("sudoers"), sudoers).unwrap();
        fs::set_permissions(lab.path().join("sudoers"), PermissionsExt::from_mode(0o440)).unwrap();
        fs::write(lab.path().join("ssh_config"), "").unwrap();
        Ok(lab)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Trees of random contents as paths of this machine's store.
    pub(super) fn paths(&self, name: &str, count: usize, bytes: usize) -> Vec<String> {
        let random = fs::File::open("/dev/urandom").unwrap();
        let trees: Vec<PathBuf> = (0..count)
            .map(|number| {
                let tree = self.path().join(format!("{name}-{number}"));
                fs::create_dir(&tree).unwrap();
                let mut contents = Vec::new();
                (&random).take(bytes as u64).read_to_end(&mut contents).unwrap();
                fs::write(tree.join("contents"), contents).unwrap();
                tree
            })
            .collect();
        self.add(&trees)
    }

    pub(super) fn add(&self, trees: &[PathBuf]) -> Vec<String> {
        let added = self.own("nix-store").arg("--add").args(trees).output().unwrap();
        assert!(added.status.success(), "{}", said(&added));
        String::from_utf8(added.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// A path that names others, which it needs therefore.
    pub(super) fn needing(&self, others: &[String]) -> String {
        let builder = "derivation { name = \"top\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
                       args = [ \"-c\" \"echo $needs > $out\" ]; needs = map builtins.storePath (import ./needs.nix); }";
        let needs = others.iter().map(|path| format!("\"{path}\"")).collect::<Vec<_>>().join(" ");
        fs::write(self.path().join("needs.nix"), format!("[ {needs} ]")).unwrap();
        fs::write(self.path().join("top.nix"), builder).unwrap();
        let mut build = self.own("nix-build");
        let built =
            build.arg(self.path().join("top.nix")).args(NO_HOOK).arg("--no-out-link").output().unwrap();
        assert!(built.status.success(), "{}", said(&built));
        String::from_utf8(built.stdout).unwrap().trim().to_owned()
    }

    /// A program on this machine, with its store.
    pub(super) fn own(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /nix && exec \"$@\""]);
        command.arg(self.path().join("own")).arg(program);
        command.env("PATH", self.path_with("/usr/sbin:/usr/bin:/sbin:/bin")).stdin(Stdio::null());
        command
    }

    /// A program of Nix.
    pub(super) fn nix(&self, program: &str) -> PathBuf {
        self.nix.join(program)
    }

    fn path_with(&self, more: &str) -> String {
        format!("{}:{more}", self.nix.display())
    }

    /// `octad push` with this lab's hosts.
    pub(super) fn push(&self, arguments: &[&str]) -> Command {
        let mut command = self.own(env!("CARGO_BIN_EXE_octad"));
        command.args(["push", "--output", "json", "-F"]).arg(self.path().join("ssh_config")).args(arguments);
        command.env("TMPDIR", self.path().join("tmp"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Its exit code and its result, or what it said where it has none.
    pub(super) fn pushed(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.push(arguments).output().unwrap();
        let result = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(said(&output)));
        (output.status.code().unwrap(), result)
    }

    pub(super) fn host(&self, name: &str, sort: Sort) -> Host {
        let number = ADDRESSES.fetch_add(1, Ordering::Relaxed);
        let address = format!("127.79.{}.{}", std::process::id() % 250 + 1, number);
        let directory = self.path().join(name);
        for inner in ["nix/store", "nix/var", "home"] {
            fs::create_dir_all(directory.join(inner)).unwrap();
        }
        // Of all its users.
        fs::set_permissions(directory.join("home"), PermissionsExt::from_mode(0o1777)).unwrap();
        let path = match &sort {
            Sort { without_nix: true, .. } => self.path().join("tools").display().to_string(),
            Sort { without_zstd: true, .. } => {
                self.path_with(&self.path().join("tools").display().to_string())
            }
            _ => self.path_with("/usr/bin:/bin"),
        };
        let config = directory.join("sshd_config");
        let lab = self.path().display();
        let home = directory.join("home");
        let home = home.display();
        fs::write(
            &config,
            format!(
                "ListenAddress {address}\nPort {PORT}\nHostKey {lab}/host-key\nAuthorizedKeysFile {lab}/authorized\n\
                 StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nSetEnv PATH={path} HOME={home} \"NIX_CONFIG={}\"\n{}\n",
                sort.nix, sort.sshd
            ),
        )
        .unwrap();
        let disk = sort.disk.map_or("mount --bind \"$0/nix\" /nix".to_owned(), |size| {
            format!("mount -t tmpfs -o size={size}m none /nix && mkdir /nix/store /nix/var")
        });
        const SUDOERS: &str = "{ [ ! -e /etc/sudoers ] || mount --bind \"$0/../sudoers\" /etc/sudoers; }";
        let mounted = format!(
            "{OPEN} {disk} && mount --bind \"$0/../passwd\" /etc/passwd && {SUDOERS} && shift 2 && exec \"$@\""
        );
        let sshd = Command::new("unshare")
            .args(["--mount", "sh", "-e", "-c", &mounted])
            .arg(&directory)
            .arg(self.path())
            .arg(self.nix.parent().unwrap())
            .args(["/usr/sbin/sshd", "-D", "-e", "-f"])
            .arg(&config)
            .stderr(fs::File::create(directory.join("sshd.log")).unwrap())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((address.as_str(), PORT)).is_err() {
            assert!(Instant::now() < until, "{}", fs::read_to_string(directory.join("sshd.log")).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        let link = Arc::new(Link::default());
        let port = relay(address, link.clone());
        self.know(name, "host-key");
        let mut hosts = fs::OpenOptions::new().append(true).open(self.path().join("ssh_config")).unwrap();
        write!(
            hosts,
            "Host {name} {name}-*\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias {name}\n  User root\n  IdentitiesOnly yes\n  \
             IdentityFile {lab}/key\n  UserKnownHostsFile {lab}/known-{name}\n  GlobalKnownHostsFile /dev/null\n"
        )
        .unwrap();
        Host { sshd, others: Vec::new(), nix: sort.nix, directory, link }
    }

    /// Adds to the configuration of ssh. A host is also called by its name with a dash and anything behind it.
    pub(super) fn configure(&self, text: &str) {
        let config = self.path().join("ssh_config");
        let known = fs::read_to_string(&config).unwrap();
        fs::write(config, format!("{known}{text}\n")).unwrap();
    }

    pub(super) fn public_key(&self, key: &str) -> String {
        fs::read_to_string(self.path().join(format!("{key}.pub"))).unwrap().trim().to_owned()
    }

    /// Has ssh take this for the key of the host.
    pub(super) fn know(&self, host: &str, key: &str) {
        let known = format!("{host} {}\n", self.public_key(key));
        fs::write(self.path().join(format!("known-{host}")), known).unwrap();
    }

    pub(super) fn know_nothing_of(&self, host: &str) {
        fs::write(self.path().join(format!("known-{host}")), "").unwrap();
    }

    /// The processes that were called with this lab's ssh configuration.
    pub(super) fn at_work(&self) -> Vec<String> {
        let config = self.path().join("ssh_config").display().to_string();
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let called = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        called.filter(|called| called.contains(&config)).collect()
    }
}

impl Host {
    /// A program on the host.
    pub(super) fn command(&self, lab: &Lab, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.sshd.id().to_string(), "--", program]);
        command.env("PATH", lab.path_with("/usr/sbin:/usr/bin:/sbin:/bin")).stdin(Stdio::null());
        command.env("NIX_CONFIG", &self.nix);
        command
    }

    /// What its sshd has said.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("sshd.log")).unwrap()
    }

    /// A Nix daemon for those who aren't root.
    pub(super) fn with_daemon(mut self, lab: &Lab) -> Self {
        self.others.push(self.command(lab, "nix-daemon").stderr(Stdio::null()).spawn().unwrap());
        let socket = self.directory.join("nix/var/nix/daemon-socket/socket");
        let until = Instant::now() + Duration::from_secs(20);
        while !socket.exists() {
            assert!(Instant::now() < until, "no daemon");
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    /// The next connections are cut once so many bytes have passed.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.link.left.store(bytes, Ordering::SeqCst);
    }

    pub(super) fn has(&self, lab: &Lab, path: &str) -> bool {
        let mut check = self.command(lab, "nix-store");
        check.args(["--check-validity", path]).stderr(Stdio::null()).status().unwrap().success()
    }

    /// # Panics
    /// Where the store isn't what its database says.
    pub(super) fn verify(&self, lab: &Lab) {
        let mut verify = self.command(lab, "nix-store");
        let verified = verify.args(["--verify", "--check-contents"]).output().unwrap();
        let said = said(&verified);
        let is_clean =
            |line: &str| line.ends_with("...") || line.contains("waiting for the big Nix store lock");
        assert!(verified.status.success() && said.lines().all(is_clean), "{said}");
    }

    /// Where it notes what it was sent and may not have on its disk yet.
    pub(super) fn notes(&self) -> PathBuf {
        self.directory.join("home/.local/state/octad/unsynced")
    }

    /// A path of its store, as seen from here.
    pub(super) fn file(&self, path: &str) -> PathBuf {
        self.directory.join(path.trim_start_matches('/'))
    }

    pub(super) fn collect_garbage(&self, lab: &Lab) -> String {
        said(&self.command(lab, "nix-store").arg("--gc").output().unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for process in self.others.iter_mut().chain([&mut self.sshd]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub(super) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Passes connections on to a host, and returns the port where.
fn relay(address: String, link: Arc<Link>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect((address.as_str(), PORT)) else { continue };
            for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                let link = link.clone();
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(read @ 1..) = from.read(&mut buffer) {
                        let left = link.left.load(Ordering::SeqCst);
                        let spent = left.saturating_sub(read as u64);
                        if left > 0 {
                            link.left.store(spent, Ordering::SeqCst);
                        }
                        if left > 0 && spent == 0 || to.write_all(&buffer[..read]).is_err() {
                            break;
                        }
                    }
                    let _ = from.shutdown(std::net::Shutdown::Both);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    port
}
