//! What a component is called: by package URL (purl) where there is one, else by its name alone;
//! and what somebody looks for among components.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::version::{Bound, Known, Scheme, compare};
use super::{Component, ImportError, NAME_BYTES_MAX};

/// A package without a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// The type of its purl, such as `deb`; none where it is known by its name alone.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its namespace, such as `debian`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Package {
    /// A package by its name alone.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { kind: None, namespace: None, name: name.to_string() }
    }

    /// Reads a purl: the package, and the version where it has one. Qualifiers and subpath, which
    /// say where it came from, are left out.
    ///
    /// # Errors
    /// Not a purl (package-url/purl-spec).
    pub fn from_purl(text: &str) -> Result<(Self, Option<String>), ImportError> {
        let bad = || ImportError::unexpected("a package URL such as pkg:deb/debian/zlib@1.2", text);
        if text.len() > NAME_BYTES_MAX {
            return Err(bad());
        }
        let rest = text.strip_prefix("pkg:").ok_or_else(bad)?.trim_start_matches('/');
        let rest = rest.split(['?', '#']).next().unwrap_or(rest);
        // The last @ is that of the version: a namespace may begin with one.
        let (path, version) = match rest.rsplit_once('@') {
            Some((path, version)) if !path.is_empty() && !path.ends_with('/') => {
                (path, Some(unescaped(version).ok_or_else(bad)?))
            }
            _ => (rest, None),
        };
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let name = parts.pop().ok_or_else(bad)?;
        if parts.is_empty() {
            return Err(bad());
        }
        let kind = parts.remove(0).to_ascii_lowercase();
        let namespace = (!parts.is_empty()).then(|| unescaped(&parts.join("/")));
        let namespace = match namespace {
            Some(text) => Some(text.ok_or_else(bad)?.to_ascii_lowercase()),
            None => None,
        };
        let name = unescaped(name).ok_or_else(bad)?;
        Ok((Self { kind: Some(kind), namespace, name }, version.filter(|it| !it.is_empty())))
    }

    /// Whether these may be the same: names are equal, and so is whatever else both say.
    fn may_be(&self, other: &Self) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => true,
        };
        self.name.eq_ignore_ascii_case(&other.name)
            && agree(&self.kind, &other.kind)
            && agree(&self.namespace, &other.namespace)
    }

    fn scheme(&self) -> Option<Scheme> {
        Scheme::of(self.kind.as_deref())
    }
}

impl core::fmt::Display for Package {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some(kind) = &self.kind {
            write!(f, "pkg:{kind}/")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Takes the percent signs of a URL out; none where they are no UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    let plain = !decoded.chars().any(char::is_control);
    plain.then(|| decoded.into_owned())
}

/// A package in some of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The package.
    #[serde(flatten)]
    pub package: Package,
    /// Ranges, of which one is enough; of each, all bounds hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Vec<Bound>>,
    /// These versions, as they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
}

impl Wanted {
    /// Reads what people type: `openssl`, `openssl<3.0.14`, `pkg:deb/debian/openssl>=3,<3.0.14`.
    ///
    /// # Errors
    /// No name, no version behind an operator, or a purl that is none.
    pub fn parse(text: &str) -> Result<Self, ImportError> {
        let bad = || ImportError::unexpected("a component such as openssl>=3.0,<3.0.14", text);
        let end = text.find(['<', '>', '=']).unwrap_or(text.len());
        let (name, bounds) = text.split_at_checked(end).ok_or_else(bad)?;
        let name = name.trim();
        let (package, version) = match name.starts_with("pkg:") {
            true => Package::from_purl(name)?,
            false => (Package::named(name), None),
        };
        if package.name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control)
        {
            return Err(bad());
        }
        let parts = bounds.split(',').map(str::trim).filter(|part| !part.is_empty());
        let range = parts.map(|part| Bound::parse(part).ok_or_else(bad));
        let range = range.collect::<Result<Vec<Bound>, _>>()?;
        let ranges = if range.is_empty() { Vec::new() } else { alloc::vec![range] };
        Ok(Self { package, ranges, versions: version.into_iter().collect() })
    }

    /// Whether a component is one of these.
    #[must_use]
    pub fn matches(&self, component: &Component) -> Known {
        if !self.package.may_be(&component.package) {
            return Known::No;
        }
        if self.ranges.is_empty() && self.versions.is_empty() {
            return Known::Yes;
        }
        let Some(version) = component.version.as_deref() else { return Known::Unknown };
        let scheme = component.package.scheme();
        let same = |one: &String| {
            one == version
                || scheme
                    .and_then(|scheme| compare(scheme, one, version))
                    .is_some_and(core::cmp::Ordering::is_eq)
        };
        if self.versions.iter().any(same) {
            return Known::Yes;
        }
        let within = |range: &Vec<Bound>| Bound::all_hold(range, scheme, version);
        self.ranges.iter().map(within).fold(Known::No, Known::or)
    }

    /// In words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let range = |range: &Vec<Bound>| {
            let bounds: Vec<String> = range.iter().map(ToString::to_string).collect();
            if bounds.is_empty() { "any version".into() } else { bounds.join(",") }
        };
        let mut ranges: Vec<String> = self.ranges.iter().map(range).collect();
        ranges.extend(self.versions.iter().take(10).map(|version| alloc::format!("={version}")));
        if self.versions.len() > 10 {
            ranges.push("...".into());
        }
        let ranges = if ranges.is_empty() { "any version".into() } else { ranges.join(" or ") };
        alloc::format!("{} {ranges}", self.package)
    }
}
