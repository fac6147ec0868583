//! Where the server is and who we are: the configuration file, and the options that stand above it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::words::Misuse;

/// Largest configuration file, in bytes. An honest one is under 1 KiB.
const CONFIG_BYTES_MAX: u64 = 64 * 1024;

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// File with the settings [default: ~/.config/lazaret/cli.toml]
    ///
    /// TOML: server = "https://HOST:PORT", and server_ca, certificate and key, the paths of PEM
    /// files, or token, the path of a file with a service token, in place of the last two. Paths
    /// are relative to the folder of this file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    config: Option<PathBuf>,
    /// Address of the server's operator listener
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    server: Option<String>,
    /// Certificate of the CA that the server's certificate chains to, PEM
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    server_ca: Option<PathBuf>,
    /// Your certificate chain, PEM
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    cert: Option<PathBuf>,
    /// The private key of your certificate, PEM
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    key: Option<PathBuf>,
    /// File with a service token, in place of certificate and key; the server is then the address
    /// of its sign-in listener
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    #[arg(conflicts_with_all = ["cert", "key"])]
    token_file: Option<PathBuf>,
}

/// Everything that a connection needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `https://HOST:PORT`, without a slash at the end.
    pub(crate) server: String,
    /// PEM file.
    pub(crate) server_ca: PathBuf,
    /// What we show.
    pub(crate) credential: Credential,
}

/// What says who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A certificate and its key, PEM files.
    Certificate { certificate: PathBuf, key: PathBuf },
    /// A service token, in a file of its own.
    Token { file: PathBuf },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    server: Option<String>,
    server_ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    token: Option<PathBuf>,
}

impl Options {
    /// The settings, each from its option or else from the file.
    pub(crate) fn settings(&self) -> Result<Settings, Misuse> {
        let config = self.config.clone().unwrap_or_else(default_config);
        let file = match read(&config) {
            Err(Misuse::NoConfig { source, .. })
                if self.config.is_none() && source.kind() == io::ErrorKind::NotFound =>
            {
                ConfigFile::default()
            }
            read => read?,
        };
        let folder = config.parent().unwrap_or(Path::new(""));
        let beside = |path: PathBuf| folder.join(path);
        let missing = |what, option| {
            move |config: &Path| Misuse::NoSetting { what, option, config: config.to_owned() }
        };
        let or = |option: &Option<PathBuf>, file: Option<PathBuf>| {
            option.clone().or_else(|| file.map(beside))
        };
        let server = self.server.clone().or(file.server);
        Ok(Settings {
            server: server_address(
                server.ok_or_else(|| missing("the server's address", "server")(&config))?,
            )?,
            server_ca: or(&self.server_ca, file.server_ca)
                .ok_or_else(|| missing("the server's CA", "server-ca")(&config))?,
            credential: match or(&self.token_file, file.token) {
                Some(file) if self.cert.is_none() && self.key.is_none() => {
                    Credential::Token { file }
                }
                _ => Credential::Certificate {
                    certificate: or(&self.cert, file.certificate)
                        .ok_or_else(|| missing("your certificate", "cert")(&config))?,
                    key: or(&self.key, file.key)
                        .ok_or_else(|| missing("your key", "key")(&config))?,
                },
            },
        })
    }

    /// The server's CA alone, for who has no credential yet.
    pub(crate) fn server_ca(&self) -> Result<PathBuf, Misuse> {
        let config = self.config.clone().unwrap_or_else(default_config);
        if let Some(path) = &self.server_ca {
            return Ok(path.clone());
        }
        let missing = || Misuse::NoSetting {
            what: "the server's CA",
            option: "server-ca",
            config: config.clone(),
        };
        let file = read(&config).map_err(|_| missing())?;
        let folder = config.parent().unwrap_or(Path::new(""));
        file.server_ca.map(|path| folder.join(path)).ok_or_else(missing)
    }
}

fn default_config() -> PathBuf {
    let home = std::env::home_dir().unwrap_or_default();
    home.join(".config/lazaret/cli.toml")
}

fn read(path: &Path) -> Result<ConfigFile, Misuse> {
    let unreadable = |source| Misuse::NoConfig { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(CONFIG_BYTES_MAX.saturating_add(1)).read_to_string(&mut text).map_err(unreadable)?;
    let refused = |why: String| Misuse::Config { path: path.to_owned(), why };
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(refused(format!("it is larger than {CONFIG_BYTES_MAX} bytes")));
    }
    toml::from_str(&text).map_err(|err| refused(err.to_string().trim_end().to_owned()))
}

/// The address, without a slash at its end.
pub(crate) fn server_address(text: String) -> Result<String, Misuse> {
    let trimmed = text.trim_end_matches('/');
    let well_formed = trimmed.strip_prefix("https://").is_some_and(|rest| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:[]/".contains(c);
        !rest.is_empty() && rest.chars().all(plain)
    });
    if well_formed { Ok(trimmed.to_owned()) } else { Err(Misuse::Server { got: text }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(config: Option<&Path>) -> Options {
        Options {
            config: config.map(Path::to_owned),
            server: None,
            server_ca: None,
            cert: None,
            key: None,
            token_file: None,
        }
    }

    #[test]
    fn options_stand_above_the_file_and_its_paths_are_relative_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("cli.toml");
        let text = "server = \"https://a:1/\"\nserver_ca = \"ca.pem\"\ncertificate = \"/c.pem\"\n\
                    key = \"k.pem\"\n";
        crate::durable::write(&config, text.as_bytes(), crate::durable::Existing::Keep).unwrap();
        let given = Options { key: Some("mine.pem".into()), ..options(Some(&config)) };
        let expected = Settings {
            server: "https://a:1".into(),
            server_ca: folder.path().join("ca.pem"),
            credential: Credential::Certificate {
                certificate: "/c.pem".into(),
                key: "mine.pem".into(),
            },
        };
        assert_eq!(given.settings().unwrap(), expected);
    }

    #[test]
    fn files_that_are_no_settings_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("cli.toml");
        let none = options(Some(&config)).settings().unwrap_err();
        assert!(matches!(none, Misuse::NoConfig { .. }), "{none}");
        let text = b"sever = \"https://a:1\"";
        crate::durable::write(&config, text, crate::durable::Existing::Keep).unwrap();
        let typo = options(Some(&config)).settings().unwrap_err();
        assert!(matches!(typo, Misuse::Config { .. }), "{typo}");
        crate::durable::write(&config, b"", crate::durable::Existing::Replace).unwrap();
        let empty = options(Some(&config)).settings().unwrap_err();
        assert!(matches!(empty, Misuse::NoSetting { option: "server", .. }), "{empty}");
    }

    #[test]
    fn addresses_without_tls_are_refused() {
        for bad in ["http://a", "a:1", "https://", "https://a b", "https://a?x"] {
            assert!(server_address(bad.to_owned()).is_err(), "{bad:?} was accepted");
        }
        assert_eq!(server_address("https://[::1]:8444//".into()).unwrap(), "https://[::1]:8444");
    }
}
