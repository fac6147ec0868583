//! The settings of the device's key, `[key]`: where it lives, and how it is reached there.

use std::path::PathBuf;

use super::{Problem, Reader, one_of};

/// Where the device's key lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyConfig {
    /// In a file of the state folder.
    File,
    /// Behind the helper program.
    Helper(HelperConfig),
}

/// The helper program, and the store behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperConfig {
    /// The program; none for the one beside the agent's own.
    pub program: Option<PathBuf>,
    /// Longest that one answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// The store.
    pub store: HelperStore,
}

/// A store that the helper knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperStore {
    /// A TPM 2.0.
    Tpm2 {
        /// How it is reached.
        tcti: String,
        /// The folder of the wrapped keys; none for `identity` in the state folder.
        folder: Option<PathBuf>,
    },
    /// A token with its PKCS#11 module.
    Pkcs11 {
        /// The module.
        module: PathBuf,
        /// The token's label.
        token: String,
        /// The key's label in the token.
        label: String,
        /// The file whose first line is the user's PIN.
        pin_file: PathBuf,
    },
}

/// The names of the stores.
const STORES: [&str; 3] = ["file", "tpm2", "pkcs11"];

/// How a TPM is reached where the settings do not say.
const TCTI: &str = "device:/dev/tpmrm0";

/// The key's label where the settings do not say.
const LABEL: &str = "lazaret-device";

impl KeyConfig {
    /// Reads `[key]`; without one, the key is a file.
    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let software = from.flag("allow_software_keys");
        let config = from.table("key", read);
        if config == Some(Self::File) && !software {
            from.wrong(
                "allow_software_keys",
                "expected true, because the device key is kept in a file that whoever reads the \
                 disk can copy; or key.store = \"tpm2\" or \"pkcs11\"",
            );
        }
        config
    }

    /// Files that the settings name and that are not there, or that more than their owner may read.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let Self::Helper(config) = self else { return Vec::new() };
        let mut named = vec![];
        named.extend(config.program.iter().map(|path| ("key.helper", path)));
        if let HelperStore::Pkcs11 { module, pin_file, .. } = &config.store {
            named.extend([("key.module", module), ("key.pin_file", pin_file)]);
        }
        let missing = named.into_iter().filter(|(_, path)| !path.is_file()).map(|(name, path)| {
            let what = format!("expected a file at {}, there is none", path.display());
            Problem { setting: name.into(), what }
        });
        missing.chain(self.open_pin()).collect()
    }

    fn open_pin(&self) -> Option<Problem> {
        use std::os::unix::fs::PermissionsExt as _;
        let Self::Helper(HelperConfig { store: HelperStore::Pkcs11 { pin_file, .. }, .. }) = self
        else {
            return None;
        };
        let mode = std::fs::metadata(pin_file).ok()?.permissions().mode() & 0o777;
        let what = format!(
            "expected a file that only its owner may read (mode 0600), {} has mode {mode:04o}",
            pin_file.display()
        );
        (mode & 0o077 != 0).then(|| Problem { setting: "key.pin_file".into(), what })
    }
}

/// Every key is asked for, whatever the store, so that all problems are found in one go.
fn read(from: &mut Reader<'_>) -> Option<KeyConfig> {
    let store = from.text("store", "file", |text| one_of(text, &STORES));
    let given = |from: &Reader<'_>, names: &[&'static str]| -> Vec<&'static str> {
        names.iter().copied().filter(|name| from.has(name)).collect()
    };
    let (of_helper, of_tpm2, of_pkcs11) = (
        given(from, &["helper", "timeout_ms"]),
        given(from, &["tcti", "folder"]),
        given(from, &["module", "token", "label", "pin_file"]),
    );
    let is_pkcs11 = store.as_deref() == Some("pkcs11");
    let program = from.optional_path("helper");
    let timeout_ms = from.number("timeout_ms", 30_000, 100..=120_000);
    let tcti = from.text("tcti", TCTI, said);
    let folder = from.optional_path("folder");
    let module = asked(from, is_pkcs11, "module", Reader::path);
    let token = asked(from, is_pkcs11, "token", |from, name| from.required(name, said));
    let label = from.text("label", LABEL, said);
    let pin_file = asked(from, is_pkcs11, "pin_file", Reader::path);
    let helper = |store| KeyConfig::Helper(HelperConfig { program, timeout_ms, store });
    let mut foreign = |names: Vec<&str>, store: &str| {
        for name in names {
            from.wrong(name, format!("is no setting of store = {store:?}"));
        }
    };
    match store?.as_str() {
        "tpm2" => {
            foreign(of_pkcs11, "tpm2");
            Some(helper(HelperStore::Tpm2 { tcti: tcti?, folder }))
        }
        "pkcs11" => {
            foreign(of_tpm2, "pkcs11");
            Some(helper(HelperStore::Pkcs11 {
                module: module?,
                token: token?,
                label: label?,
                pin_file: pin_file?,
            }))
        }
        _ => {
            foreign([of_helper, of_tpm2, of_pkcs11].concat(), "file");
            Some(KeyConfig::File)
        }
    }
}

/// Asks for what must be there with this store, and with another only where it is given.
fn asked<'a, T>(
    from: &mut Reader<'a>,
    required: bool,
    name: &str,
    ask: impl FnOnce(&mut Reader<'a>, &str) -> Option<T>,
) -> Option<T> {
    if required || from.has(name) { ask(from, name) } else { None }
}

fn said(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("expected a text without control characters, got {text:?}"));
    }
    Ok(text.to_owned())
}
