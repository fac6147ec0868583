//! `CycloneDX` bills of materials (ECMA-424), as JSON: the components, those within others, and the
//! hashes of files.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use serde::Deserialize;

use super::{COMPONENTS_MAX, Component, ImportError, NAME_BYTES_MAX, Package};

/// A bill as it is written; what is not used is passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct File {
    #[serde(rename = "bomFormat")]
    format: Option<String>,
    #[serde(rename = "specVersion")]
    version: Option<String>,
    #[serde(default)]
    components: Vec<Part>,
}

#[derive(Debug, Clone, Deserialize)]
struct Part {
    name: Option<String>,
    version: Option<String>,
    purl: Option<String>,
    #[serde(default)]
    hashes: Vec<Hash>,
    #[serde(default)]
    components: Vec<Self>,
}

#[derive(Debug, Clone, Deserialize)]
struct Hash {
    alg: String,
    content: String,
}

impl File {
    /// What format it says it has.
    ///
    /// # Errors
    /// Another format, or a version of it that is not known.
    pub fn format(&self) -> Result<String, ImportError> {
        let format = self.format.as_deref().unwrap_or("nothing");
        if format != "CycloneDX" {
            return Err(ImportError::unexpected("bomFormat CycloneDX", format));
        }
        let version = self.version.as_deref().unwrap_or("nothing");
        match version.strip_prefix("1.") {
            Some(minor) if matches!(minor.len(), 1 | 2) => {
                Ok(alloc::format!("CycloneDX {version}"))
            }
            _ => Err(ImportError::unexpected("specVersion 1.0 to 1.99", version)),
        }
    }

    /// Its components, each once.
    ///
    /// # Errors
    /// Too many, one without a name, or a purl that is none.
    pub fn components(self) -> Result<Vec<Component>, ImportError> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = self.components;
        while let Some(mut part) = open.pop() {
            open.append(&mut part.components);
            let component = part.component()?;
            let key = (component.package.clone(), component.version.clone(), component.sha256);
            if seen.insert(key) {
                found.push(component);
            }
            let got = found.len().saturating_add(open.len());
            if got > COMPONENTS_MAX.saturating_mul(2) || found.len() > COMPONENTS_MAX {
                return Err(ImportError::TooMany { what: "components", max: COMPONENTS_MAX, got });
            }
        }
        found.sort_by(|a, b| (&a.package, &a.version).cmp(&(&b.package, &b.version)));
        Ok(found)
    }
}

impl Part {
    fn component(self) -> Result<Component, ImportError> {
        let name = self.name.unwrap_or_default();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(ImportError::unexpected("a component with a name", &name));
        }
        let (package, at) = match &self.purl {
            Some(purl) => Package::from_purl(purl)?,
            None => (Package::named(&name), None),
        };
        let version = self.version.or(at).filter(|it| !it.is_empty());
        if version.as_ref().is_some_and(|it| it.len() > NAME_BYTES_MAX) {
            let expected = "a version of at most 512 bytes";
            return Err(ImportError::unexpected(expected, &version.unwrap_or_default()));
        }
        let sha256 = self.hashes.iter().find(|hash| hash.alg == "SHA-256");
        let sha256 = sha256.map(|hash| {
            let text = hash.content.to_ascii_lowercase();
            text.parse::<Sha256Digest>()
                .map_err(|_| ImportError::unexpected("64 hex digits of SHA-256", &hash.content))
        });
        Ok(Component { package, version, sha256: sha256.transpose()? })
    }
}
