//! Keys in hardware that is none: a TPM simulator and a software token, each below a folder of its
//! own, and what a device's settings say to use them.

use std::io::{BufRead as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::programs::{Programs, output};
use crate::wait;

/// Longest that a simulator may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The software token of Debian's softhsm2.
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The user's PIN of every token.
const PIN: &str = "4711-device";

/// A TPM simulator on loopback, which ends with this.
#[derive(Debug)]
pub struct SwTpm {
    child: Child,
    port: u16,
}

impl SwTpm {
    /// Starts one over the state in `state`; a copy of that folder is a copy of the TPM.
    ///
    /// # Errors
    /// swtpm is not installed, or does not start.
    pub fn start(state: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(state)?;
        let (port, control) = two_ports()?;
        let mut child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .args(["--server", &format!("type=tcp,port={port}")])
            .args(["--ctrl", &format!("type=tcp,port={control}")])
            .stdin(Stdio::null())
            .spawn()
            .context("this test needs swtpm")?;
        wait::until("the TPM simulator to listen", PATIENCE, || {
            ensure!(child.try_wait()?.is_none(), "swtpm has ended");
            Ok(TcpStream::connect(("127.0.0.1", control)).is_ok().then_some(()))
        })?;
        Ok(Self { child, port })
    }

    /// Has a maker of TPMs manufacture the one whose state is to be in `state`: it gets an
    /// endorsement key with a certificate. What the maker trusts stands in `maker/issuercert.pem`.
    ///
    /// # Errors
    /// swtpm's tools are not installed, or refuse.
    pub fn manufacture(state: &Path, maker: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(state)?;
        std::fs::create_dir_all(maker)?;
        let here = |name: &str| maker.join(name).display().to_string();
        let authority = format!(
            "statedir = {}\nsigningkey = {}\nissuercert = {}\ncertserial = {}\n",
            maker.display(),
            here("signkey.pem"),
            here("issuercert.pem"),
            here("certserial")
        );
        write(&maker.join("localca.conf"), &authority, 0o600)?;
        write(&maker.join("localca.options"), "", 0o600)?;
        let setup = format!(
            "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {}\n\
             create_certs_tool_options = {}\nactive_pcr_banks = sha256\n",
            here("localca.conf"),
            here("localca.options")
        );
        let setup = setup.replace("swtpm_localca", "/usr/bin/swtpm_localca");
        write(&maker.join("setup.conf"), &setup, 0o600)?;
        let made = output(
            Command::new("swtpm_setup")
                .args(["--tpm2", "--create-ek-cert", "--overwrite", "--config"])
                .arg(maker.join("setup.conf"))
                .arg("--tpmstate")
                .arg(state),
        )?;
        ensure!(made.status.success(), "swtpm_setup: {made:?}");
        Ok(())
    }

    /// SHA-256 of its endorsement key, as tools that are not ours say it.
    ///
    /// # Errors
    /// tpm2-tools or openssl are not installed, or refuse.
    pub fn endorsement(&self, work: &Path) -> anyhow::Result<String> {
        std::fs::create_dir_all(work)?;
        let line = "tpm2_createek -c ek.ctx -G rsa -u ek.pem -f pem >&2
            tpm2_flushcontext -t
            openssl pkey -pubin -in ek.pem -outform DER | sha256sum | cut -d' ' -f1";
        let said = output(
            Command::new("bash")
                .args(["-o", "pipefail", "-ec", line])
                .env("TPM2TOOLS_TCTI", self.tcti())
                .current_dir(work),
        )?;
        ensure!(said.status.success(), "tpm2-tools: {said:?}");
        Ok(String::from_utf8(said.stdout)?.trim().to_owned())
    }

    /// How programs reach it.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// `[key]` of a device that keeps its key there.
    #[must_use]
    pub fn settings(&self) -> String {
        format!("[key]\nstore = \"tpm2\"\ntcti = \"{}\"\n", self.tcti())
    }
}

impl Drop for SwTpm {
    fn drop(&mut self) {
        // There is nobody to tell if even that fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// It takes the port after its own for control: both are looked for together.
fn two_ports() -> anyhow::Result<(u16, u16)> {
    for _ in 0..100 {
        let first = TcpListener::bind(("127.0.0.1", 0))?;
        let port = first.local_addr()?.port();
        let next = port.checked_add(1).and_then(|it| TcpListener::bind(("127.0.0.1", it)).ok());
        if let Some(next) = next {
            return Ok((port, next.local_addr()?.port()));
        }
    }
    anyhow::bail!("expected two free ports beside each other")
}

/// A fresh token of SoftHSM2.
#[derive(Debug)]
pub struct Token {
    folder: PathBuf,
    helper: PathBuf,
}

impl Token {
    /// Makes one below `folder`.
    ///
    /// # Errors
    /// softhsm2 is not installed, or refuses.
    pub fn make(folder: &Path, programs: &Programs) -> anyhow::Result<Self> {
        let tokens = folder.join("tokens");
        std::fs::create_dir_all(&tokens)?;
        let conf = folder.join("softhsm2.conf");
        let settings = format!("directories.tokendir = {}\n", tokens.display());
        write(&conf, &settings, 0o600)?;
        write(&folder.join("pin"), &format!("{PIN}\n"), 0o600)?;
        let made = output(
            Command::new("softhsm2-util")
                .args(["--init-token", "--free", "--label", "device"])
                .args(["--so-pin", "so-pin", "--pin", PIN])
                .env("SOFTHSM2_CONF", &conf),
        )?;
        ensure!(made.status.success(), "softhsm2-util: {made:?}");
        // The module takes its settings from the environment, which the agent's has nothing of.
        let helper = folder.join("helper");
        let script = format!(
            "#!/bin/sh\nSOFTHSM2_CONF={} exec {} \"$@\"\n",
            conf.display(),
            programs.path("lazaret-agent-keys").display()
        );
        write(&helper, &script, 0o700)?;
        Ok(Self { folder: folder.to_owned(), helper })
    }

    /// `[key]` of a device that keeps its key there.
    #[must_use]
    pub fn settings(&self) -> String {
        format!(
            "[key]\nstore = \"pkcs11\"\nhelper = {:?}\nmodule = \"{SOFTHSM}\"\ntoken = \"device\"\n\
             pin_file = {:?}\n",
            self.helper,
            self.folder.join("pin")
        )
    }
}

/// The key helper at work, asked by a test in the agent's place.
#[derive(Debug)]
pub struct KeyHelper {
    child: Child,
    output: std::io::BufReader<std::process::ChildStdout>,
}

impl KeyHelper {
    /// Starts it over a TPM; its wrapped keys are kept in `folder`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(programs: &Programs, tpm: &SwTpm, folder: &Path) -> anyhow::Result<Self> {
        let mut command = programs.command("lazaret-agent-keys");
        command.args(["tpm2", "--tcti", &tpm.tcti(), "--folder"]).arg(folder).arg("serve");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("the helper has no output")?;
        Ok(Self { child, output: std::io::BufReader::new(output) })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// It has ended.
    pub fn ask(&mut self, request: &Value) -> anyhow::Result<Value> {
        let input = self.child.stdin.as_mut().context("the helper has no input")?;
        writeln!(input, "{request}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for KeyHelper {
    fn drop(&mut self) {
        // Its input ends, and so does it: killed, it would leave its keys behind in the TPM.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
    Ok(std::io::Write::write_all(&mut file, text.as_bytes())?)
}
