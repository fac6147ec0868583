//! Signatures of people, which ssh-keygen makes: so keys in files, in ssh-agent and in FIDO2 tokens
//! will do. What is signed, and what it is for, is the callers' business.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use lazaret_protocol::sshsig::{SIGNATURE_BYTES_MAX, SshSignature};

/// Has ssh-keygen sign `text` in `namespace`.
pub(crate) fn sign(key: &Path, namespace: &str, text: &str) -> anyhow::Result<String> {
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context(
            "ssh-keygen cannot be started: install OpenSSH, or sign elsewhere and give --signature",
        )?;
    // Dropped at the end of the statement, so that ssh-keygen sees the end of the text.
    child.stdin.take().context("no way to ssh-keygen")?.write_all(text.as_bytes())?;
    let done = child.wait_with_output()?;
    anyhow::ensure!(done.status.success(), "ssh-keygen did not sign with {}", key.display());
    anyhow::ensure!(done.stdout.len() <= SIGNATURE_BYTES_MAX, "ssh-keygen said too much");
    String::from_utf8(done.stdout).context("ssh-keygen gave no text")
}

/// Whatever is wrong with a signature is said here, before the server is asked.
pub(crate) fn check(signature: &str, namespace: &str, text: &str) -> anyhow::Result<()> {
    let parsed = SshSignature::parse(signature).context("the signature cannot be used")?;
    let key = parsed.claimed_key().clone();
    let verified = parsed.verify(&key, namespace, text.as_bytes());
    verified.context("the signature is not one of this")
}

/// A signature that was made elsewhere.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let max = u64::try_from(SIGNATURE_BYTES_MAX).unwrap_or(u64::MAX);
    String::from_utf8(bytes(path, max)?)
        .with_context(|| format!("{} is no signature", path.display()))
}

/// A file of at most `max` bytes.
pub(crate) fn bytes(path: &Path, max: u64) -> anyhow::Result<Vec<u8>> {
    let open = || format!("{} cannot be read", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(open)?;
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).with_context(open)?;
    let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    anyhow::ensure!(got <= max, "expected {} to have at most {max} bytes", path.display());
    Ok(bytes)
}
