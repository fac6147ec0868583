//! A site: the keys of a ceremony, a server, an operator with every role, and devices; all in one
//! folder.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::programs::{self, Programs, arg};
use crate::wait;

pub mod device;
pub mod release;

pub use device::Device;

/// The model of every device of a site.
pub const MODEL: &str = "gw2";

/// Keys, server and operator.
#[derive(Debug)]
pub struct Site {
    /// The programs.
    pub programs: Programs,
    /// The folder of everything.
    pub folder: PathBuf,
    /// Port of the devices' face.
    pub device_port: u16,
    /// Port of the operators' face.
    pub operator_port: u16,
    /// Port of the face for sign-in.
    pub sign_in_port: u16,
    server: Option<Child>,
}

impl Site {
    /// Holds a ceremony in `folder`, and writes the settings of a server and of an operator.
    /// Nothing runs yet.
    ///
    /// # Errors
    /// A step of the ceremony fails.
    pub fn found(programs: Programs, folder: &Path) -> anyhow::Result<Self> {
        Self::found_with(programs, folder, &[])
    }

    /// As [`found`](Self::found), with further arguments of the ceremony.
    ///
    /// # Errors
    /// As [`found`](Self::found).
    pub fn found_with(
        programs: Programs,
        folder: &Path,
        ceremony: &[&str],
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let [device_port, operator_port, sign_in_port] = free_ports()?;
        let server = None;
        let site = Self { programs, folder, device_port, operator_port, sign_in_port, server };
        site.write("passphrase", "a passphrase for this site only\n", 0o600)?;
        let keys = arg(&site.keys());
        let first = ["ceremony", "--out", &keys, "--model", MODEL, "--name", "Demo"];
        site.lazaret_keys(&[&first[..], ceremony].concat())?;
        let ca = arg(&site.keys().join("ca"));
        let tls = arg(&site.folder.join("tls"));
        site.lazaret_keys(&[
            "ca",
            "server-cert",
            "--ca",
            &ca,
            "--name",
            "localhost",
            "--ip",
            "127.0.0.1",
            "--out",
            &tls,
        ])?;
        let roles = "operator,release-manager,incident-commander,responder,auditor";
        site.operator("ana", roles)?;
        site.write("server.toml", &site.server_settings(), 0o600)?;
        site.write("cli.toml", &site.cli_settings("ana"), 0o600)?;
        Ok(site)
    }

    /// Makes the certificate of another operator.
    ///
    /// # Errors
    /// The key tool refuses.
    pub fn operator(&self, name: &str, roles: &str) -> anyhow::Result<()> {
        let ca = arg(&self.keys().join("ca"));
        let out = arg(&self.folder.join("operators"));
        self.lazaret_keys(&[
            "ca", "operator", "--ca", &ca, "--name", name, "--roles", roles, "--out", &out,
        ])?;
        let settings = self.cli_settings(name);
        self.write(&format!("cli-{name}.toml"), &settings, 0o600)?;
        Ok(())
    }

    /// A site with a running server. The folder lives as long as the site.
    ///
    /// # Errors
    /// The ceremony fails, or the server does not start.
    pub fn running() -> anyhow::Result<(tempfile::TempDir, Self)> {
        let folder = tempfile::tempdir()?;
        let mut site = Self::found(Programs::beside_this_one()?, &folder.path().join("site"))?;
        site.init()?;
        site.start_server()?;
        Ok((folder, site))
    }

    /// The folder of the ceremony.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// Takes the ceremony's metadata into the server. Done once, before the first start.
    ///
    /// # Errors
    /// The server refuses it.
    pub fn init(&self) -> anyhow::Result<Value> {
        let mut command = self.programs.command("lazaret-server");
        command.arg("init").arg("--config").arg(self.folder.join("server.toml"));
        command.arg("--metadata").arg(self.keys().join("metadata"));
        command.arg("--anchors").arg(self.keys().join("anchors.json")).arg("--json");
        programs::json(&mut command)
    }

    /// Starts the server and waits until both faces answer.
    ///
    /// # Errors
    /// It does not start; then its log says why.
    pub fn start_server(&mut self) -> anyhow::Result<()> {
        self.start_server_under(&[])
    }

    /// Starts the server with these variables in its environment, as a preloaded shim wants, and
    /// waits until both faces answer.
    ///
    /// # Errors
    /// It does not start; then its log says why.
    pub fn start_server_under(&mut self, variables: &[(&str, &Path)]) -> anyhow::Result<()> {
        let mut command = self.programs.command("lazaret-server");
        command.arg("run").arg("--config").arg(self.folder.join("server.toml"));
        command.envs(variables.iter().copied());
        self.server = Some(logged(&mut command, &self.server_log())?);
        let ports = [self.device_port, self.operator_port, self.sign_in_port];
        let limit = Duration::from_secs(60);
        wait::until("the server to answer", limit, || {
            let child = self.server.as_mut().context("the server is not running")?;
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(self.folder.join("server.log"))?;
                anyhow::bail!("the server ended with {status}:\n{log}");
            }
            let open = ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
            Ok(open.then_some(()))
        })
    }

    /// The server's log.
    #[must_use]
    pub fn server_log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// `kill -9`, as a crash would.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill_server(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.server.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Lets the server go on after this program ends.
    pub fn leave_running(&mut self) {
        self.server = None;
    }

    /// The operator's command, with its settings and `--json`.
    #[must_use]
    pub fn cli(&self, operator: &str, args: &[&str]) -> Command {
        let mut command = self.programs.command("lazaret");
        command.arg("--json").arg("--config");
        command.arg(self.folder.join(format!("cli-{operator}.toml"))).args(args);
        command
    }

    /// Runs the operator's command and gives its answer.
    ///
    /// # Errors
    /// It fails.
    pub fn lazaret(&self, args: &[&str]) -> anyhow::Result<Value> {
        programs::json(&mut self.cli("ana", args))
    }

    /// Runs the key tool and gives its answer.
    ///
    /// # Errors
    /// It fails.
    pub fn lazaret_keys(&self, args: &[&str]) -> anyhow::Result<Value> {
        programs::json(&mut self.keys_command(args))
    }

    /// The key tool, with the site's passphrase.
    #[must_use]
    pub fn keys_command(&self, args: &[&str]) -> Command {
        let mut command = self.programs.command("lazaret-keys");
        command.arg("--json").arg("--passphrase-file").arg(self.folder.join("passphrase"));
        command.arg("--transcript").arg(self.folder.join("transcript.txt")).args(args);
        command
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> anyhow::Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.folder.join(name);
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(mode)
            .open(&path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }

    fn server_settings(&self) -> String {
        format!(
            r#"data = "data"
online_keys = "keys/online"
[devices]
address = "127.0.0.1:{}"
certificate = "tls/server.pem"
key = "tls/server.key"
client_ca = "keys/ca/device-ca.pem"
[operators]
address = "127.0.0.1:{}"
certificate = "tls/server.pem"
key = "tls/server.key"
client_ca = "keys/ca/operator-ca.pem"
[sign_in]
address = "127.0.0.1:{}"
[issuing]
certificate = "keys/ca/device-ca.pem"
key = "keys/ca/device-ca.key"
root = "keys/ca/root-ca.pem"
[operator_issuing]
certificate = "keys/ca/operator-ca.pem"
key = "keys/ca/operator-ca.key"
[polls]
interval_ms = 500
[log]
level = "lazaret_server=debug,info"
"#,
            self.device_port, self.operator_port, self.sign_in_port
        )
    }

    fn cli_settings(&self, name: &str) -> String {
        let here = |path: &str| arg(&self.folder.join(path));
        format!(
            "server = \"https://localhost:{}\"\nserver_ca = {:?}\ncertificate = {:?}\nkey = {:?}\n",
            self.operator_port,
            here("keys/ca/server-ca.pem"),
            here(&format!("operators/{name}.pem")),
            here(&format!("operators/{name}.key")),
        )
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Nothing is left running by a story that failed; there is nobody to tell if even that
        // fails.
        let _ = self.kill_server();
    }
}

/// Starts a program whose standard error goes to the end of `log`.
pub(crate) fn logged(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("{command:?} cannot be started"))
}

/// Three ports that nobody has at this moment.
fn free_ports() -> anyhow::Result<[u16; 3]> {
    let bind = || std::net::TcpListener::bind(("127.0.0.1", 0));
    let bound = [bind()?, bind()?, bind()?];
    let mut ports = [0; 3];
    for (port, bound) in ports.iter_mut().zip(&bound) {
        *port = bound.local_addr()?.port();
    }
    Ok(ports)
}
