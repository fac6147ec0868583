//! A device of a site: its folder and its agent.

use std::path::PathBuf;
use std::process::{Child, Command};

use anyhow::Context as _;
use serde_json::Value;

use super::{MODEL, Site, logged};
use crate::programs::{self, Programs, arg};

/// The probe of every device: any file is a good image, unless it says at its end that it is
/// broken.
const PROBE: &str = "if tail -c 21 \"$LAZARET_IMAGE\" | grep -q LAZARET-BROKEN-IMAGE; \
                     then echo image is broken; exit 1; fi";

/// A device with its agent, which is killed when this goes.
#[derive(Debug)]
pub struct Device {
    /// Its device id.
    pub id: String,
    /// Its folder: `agent.toml`, `state`, `slots`, `agent.log`.
    pub folder: PathBuf,
    programs: Programs,
    agent: Option<Child>,
}

impl Site {
    /// Makes a claim and a device's folder. Its agent does not run yet.
    ///
    /// # Errors
    /// The server refuses the claim.
    pub fn provision(&self, id: &str) -> anyhow::Result<Device> {
        let serial = format!("sn-{id}");
        let folder = self.folder.join("devices").join(id);
        std::fs::create_dir_all(&folder)?;
        let claim = arg(&folder.join("claim"));
        let mut args = vec!["device", "provision", "--serial", &serial, "--device", id];
        args.extend(["--model", MODEL, "--valid-hours", "1", "--reason", "harness"]);
        args.extend(["--out", &claim]);
        self.lazaret(&args)?;
        self.set_up(id, &serial)
    }

    /// Makes a device's folder, without a claim unless there is one in it. Its agent does not run
    /// yet.
    ///
    /// # Errors
    /// The agent refuses its settings.
    pub fn set_up(&self, id: &str, serial: &str) -> anyhow::Result<Device> {
        let folder = self.folder.join("devices").join(id);
        std::fs::create_dir_all(&folder)?;
        let mut settings = self.agent_settings(serial);
        if !folder.join("claim").exists() {
            settings = settings.replace("claim_file = \"claim\"\n", "");
        }
        self.write(&format!("devices/{id}/agent.toml"), &settings, 0o600)?;
        let device =
            Device { id: id.to_owned(), folder, programs: self.programs.clone(), agent: None };
        programs::json(device.command("provision").env_remove("RUST_LOG")).or_else(|err| {
            // `provision` speaks to people and prints no JSON; only its failure matters here.
            if format!("{err:#}").contains("printed no JSON") { Ok(Value::Null) } else { Err(err) }
        })?;
        Ok(device)
    }

    fn agent_settings(&self, serial: &str) -> String {
        let here = |path: &str| arg(&self.folder.join(path));
        format!(
            r#"server = "https://localhost:{}"
server_ca = {:?}
tuf_root = {:?}
state_dir = "state"
slots_dir = "slots"
model = "{MODEL}"
serial = "{serial}"
claim_file = "claim"
allow_software_keys = true
trial_seconds = 20
hold_ms = 5000
backoff_base_ms = 200
backoff_ceiling_ms = 1000
stale_alarm_seconds = 1
log = "debug"

[[probes]]
kind = "command"
name = "health"
command = ["sh", "-c", '{PROBE}']
attempts = 2
"#,
            self.device_port,
            here("keys/ca/server-ca.pem"),
            here("keys/metadata/1.root.json"),
        )
    }
}

impl Device {
    /// The agent with one of its commands and the device's settings.
    #[must_use]
    pub fn command(&self, what: &str) -> Command {
        let mut command = self.programs.command("lazaret-agent");
        command.arg(what).arg("--config").arg(self.folder.join("agent.toml"));
        command
    }

    /// Keeps the device's key where these lines of its settings say, and no more in a file.
    ///
    /// # Errors
    /// The settings cannot be written.
    pub fn keep_key(&self, lines: &str) -> anyhow::Result<()> {
        let path = self.folder.join("agent.toml");
        let text = std::fs::read_to_string(&path)?.replace("allow_software_keys = true\n", "");
        let text = text.split("\n[key]\n").next().unwrap_or_default();
        let mut file = std::fs::File::create(&path)?;
        Ok(std::io::Write::write_all(&mut file, format!("{text}\n{lines}").as_bytes())?)
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.start_with(&[])
    }

    /// Starts the agent with further arguments.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_with(&mut self, args: &[&str]) -> anyhow::Result<()> {
        self.spawn(self.command("run").args(args))
    }

    /// Starts the agent with these variables in its environment, as a preloaded shim wants.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_under(&mut self, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        self.spawn(self.command("run").envs(variables.iter().copied()))
    }

    /// Starts the agent within a network namespace.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_in(&mut self, namespace: &str) -> anyhow::Result<()> {
        let mut command = self.command_in(namespace, "run");
        self.spawn(&mut command)
    }

    /// One of the agent's commands within a network namespace.
    #[must_use]
    pub fn command_in(&self, namespace: &str, what: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(self.programs.path("lazaret-agent"));
        command.arg(what).arg("--config").arg(self.folder.join("agent.toml"));
        command
    }

    fn spawn(&mut self, command: &mut Command) -> anyhow::Result<()> {
        self.agent = Some(logged(command, &self.folder.join("agent.log"))?);
        Ok(())
    }

    /// The agent's process, where it was started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Child::id)
    }

    /// The sequence of the last poll, by the device's journal.
    ///
    /// # Errors
    /// It has no journal.
    pub fn polls(&self) -> anyhow::Result<u64> {
        let status = self.status()?;
        let polls = status.pointer("/journal/poll_sequence").and_then(Value::as_u64);
        polls.with_context(|| format!("no poll_sequence in {status}"))
    }

    /// Whether the agent has ended, and how.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        let Some(agent) = &mut self.agent else { return Ok(None) };
        Ok(agent.try_wait()?)
    }

    /// `kill -9`, as a power cut would.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut agent) = self.agent.take() {
            // It may have ended by itself, and then there is nothing to kill.
            let _ = agent.kill();
            agent.wait()?;
        }
        Ok(())
    }

    /// Lets the agent go on after this program ends.
    pub fn leave_running(&mut self) {
        self.agent = None;
    }

    /// What the device says of itself, from its journal.
    ///
    /// # Errors
    /// It has no journal.
    pub fn status(&self) -> anyhow::Result<Value> {
        programs::json(self.command("status").arg("--json"))
    }

    /// The image that runs: where the bootloader's link points.
    #[must_use]
    pub fn running_image(&self) -> PathBuf {
        self.folder.join("slots").join("current").join("image")
    }

    /// The last lines of the agent's log, for errors.
    ///
    /// # Errors
    /// There is no log.
    pub fn log_tail(&self) -> anyhow::Result<String> {
        let text = std::fs::read_to_string(self.folder.join("agent.log")).context("agent.log")?;
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(30);
        Ok(lines.get(from..).unwrap_or_default().join("\n"))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Nothing is left running by a story that failed; there is nobody to tell if even that
        // fails.
        let _ = self.kill();
    }
}
