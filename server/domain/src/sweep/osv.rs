//! Advisories in the Open Source Vulnerability format (OSV 1.x).

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

use super::version::{Bound, Op};
use super::{ImportError, NAME_BYTES_MAX, Package, Read, Wanted};

/// An advisory as it is written; what is not used is passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct File {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    affected: Vec<Affected>,
    /// It was taken back.
    withdrawn: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Affected {
    package: Option<Named>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Named {
    ecosystem: String,
    name: String,
    purl: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Range {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Debug, Clone, Deserialize)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

impl File {
    /// What it says.
    ///
    /// # Errors
    /// It was withdrawn, has a purl that is none, or too much.
    pub fn read(self) -> Result<Read, ImportError> {
        if let Some(at) = self.withdrawn {
            return Err(ImportError::unexpected(
                "an advisory that stands",
                &alloc::format!("one that was withdrawn at {at}"),
            ));
        }
        let mut affected = Vec::new();
        let mut not_followed: u64 = 0;
        for one in self.affected {
            // Ranges of commits say nothing of what is built.
            let (ranges, commits): (Vec<Range>, Vec<Range>) =
                one.ranges.into_iter().partition(|range| range.kind != "GIT");
            let Some(named) = one.package else {
                not_followed = not_followed.saturating_add(1);
                continue;
            };
            let nothing = ranges.is_empty() && one.versions.is_empty();
            if nothing && !commits.is_empty() {
                not_followed = not_followed.saturating_add(1);
                continue;
            }
            let package = named.package()?;
            let ranges = ranges.iter().flat_map(Range::spans).collect();
            affected.push(Wanted { package, ranges, versions: one.versions });
        }
        let (id, aliases, summary) = (self.id, self.aliases, self.summary);
        Read { id, aliases, summary, affected, not_followed }.checked()
    }
}

impl Named {
    fn package(&self) -> Result<Package, ImportError> {
        if let Some(purl) = &self.purl {
            return Ok(Package::from_purl(purl)?.0);
        }
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX {
            return Err(ImportError::unexpected("a package with a name", &self.name));
        }
        // Debian:12 is Debian, in its release 12.
        let ecosystem = self.ecosystem.split(':').next().unwrap_or_default();
        let (kind, namespace) = match ecosystem {
            "Debian" => (Some("deb"), Some("debian")),
            "Ubuntu" => (Some("deb"), Some("ubuntu")),
            "Alpine" => (Some("apk"), Some("alpine")),
            "npm" => (Some("npm"), None),
            "crates.io" => (Some("cargo"), None),
            "Go" => (Some("golang"), None),
            "PyPI" => (Some("pypi"), None),
            "Maven" => (Some("maven"), None),
            "RubyGems" => (Some("gem"), None),
            "NuGet" => (Some("nuget"), None),
            "Hex" => (Some("hex"), None),
            "Pub" => (Some("pub"), None),
            _ => (None, None),
        };
        // Go and npm have the namespace in the name.
        let split = matches!(kind, Some("golang" | "npm")).then(|| self.name.rsplit_once('/'));
        let (namespace, name) = match split.flatten() {
            Some((namespace, name)) => (Some(namespace), name),
            None => (namespace, self.name.as_str()),
        };
        let (kind, namespace) = (kind.map(Into::into), namespace.map(Into::into));
        Ok(Package { kind, namespace, name: name.into() })
    }
}

impl Range {
    /// The spans that its events draw: each begins where something is introduced.
    fn spans(&self) -> Vec<Vec<Bound>> {
        let mut spans: Vec<Vec<Bound>> = Vec::new();
        for event in &self.events {
            if let Some(version) = &event.introduced {
                let from = (version != "0").then(|| Bound::new(Op::AtLeast, version));
                spans.push(from.into_iter().collect());
            }
            let end = event.fixed.as_ref().or(event.limit.as_ref());
            let end = end.map(|version| Bound::new(Op::Below, version));
            let last = event.last_affected.as_ref();
            let end = end.or_else(|| last.map(|version| Bound::new(Op::AtMost, version)));
            if let Some(end) = end {
                match spans.last_mut() {
                    Some(span) => span.push(end),
                    None => spans.push(alloc::vec![end]),
                }
            }
        }
        spans
    }
}
