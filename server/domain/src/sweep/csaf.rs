//! Advisories in the Common Security Advisory Framework (CSAF 2.0). Its product tree names what is
//! affected: here the products are followed that name a package or stand below a product name; what
//! stands in relationships (a product as part of another) is counted as not followed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

use super::version::{Bound, Op};
use super::{AFFECTED_MAX, ImportError, NAME_BYTES_MAX, Package, Read, Wanted};

/// An advisory as it is written; what is not used is passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct File {
    document: Document,
    #[serde(default)]
    product_tree: Tree,
    #[serde(default)]
    vulnerabilities: Vec<Vulnerability>,
}

#[derive(Debug, Clone, Deserialize)]
struct Document {
    csaf_version: String,
    #[serde(default)]
    title: String,
    tracking: Tracking,
}

#[derive(Debug, Clone, Deserialize)]
struct Tracking {
    id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Tree {
    #[serde(default)]
    branches: Vec<Branch>,
    #[serde(default)]
    full_product_names: Vec<Product>,
    #[serde(default)]
    product_groups: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
struct Group {
    group_id: String,
    #[serde(default)]
    product_ids: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Branch {
    category: String,
    name: String,
    product: Option<Product>,
    #[serde(default)]
    branches: Vec<Self>,
}

#[derive(Debug, Clone, Deserialize)]
struct Product {
    product_id: String,
    #[serde(default)]
    product_identification_helper: Helper,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Helper {
    purl: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Vulnerability {
    cve: Option<String>,
    #[serde(default)]
    ids: Vec<Id>,
    #[serde(default)]
    product_status: Status,
}

#[derive(Debug, Clone, Deserialize)]
struct Id {
    text: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Status {
    #[serde(default)]
    known_affected: Vec<String>,
    #[serde(default)]
    first_affected: Vec<String>,
    #[serde(default)]
    last_affected: Vec<String>,
}

/// Where a branch stands.
#[derive(Debug, Clone, Default)]
struct Place {
    product: Option<String>,
    version: Option<String>,
    range: Option<String>,
}

impl File {
    /// What it says of each vulnerability; every product that is known to be affected by one is.
    ///
    /// # Errors
    /// Another version of the format, too much, or a range that is none.
    pub fn read(self) -> Result<Read, ImportError> {
        if self.document.csaf_version != "2.0" {
            let got = &self.document.csaf_version;
            return Err(ImportError::unexpected("csaf_version 2.0", got));
        }
        let mut products = BTreeMap::new();
        for product in self.product_tree.full_product_names {
            enter(&mut products, product, &Place::default())?;
        }
        let mut open: Vec<(Branch, Place)> =
            self.product_tree.branches.into_iter().map(|one| (one, Place::default())).collect();
        while let Some((branch, mut place)) = open.pop() {
            place.enter(&branch);
            if let Some(product) = branch.product {
                enter(&mut products, product, &place)?;
            }
            open.extend(branch.branches.into_iter().map(|one| (one, place.clone())));
        }
        let groups: BTreeMap<String, Vec<String>> = self
            .product_tree
            .product_groups
            .into_iter()
            .map(|group| (group.group_id, group.product_ids))
            .collect();
        let mut named = BTreeSet::new();
        let mut aliases = BTreeSet::new();
        for one in self.vulnerabilities {
            aliases.extend(one.cve);
            aliases.extend(one.ids.into_iter().map(|id| id.text));
            let Status { known_affected, first_affected, last_affected } = one.product_status;
            for id in known_affected.into_iter().chain(first_affected).chain(last_affected) {
                match groups.get(&id) {
                    Some(members) => named.extend(members.iter().cloned()),
                    None => {
                        named.insert(id);
                    }
                }
            }
        }
        let mut affected: Vec<Wanted> = Vec::new();
        let mut not_followed: u64 = 0;
        for id in named {
            match products.get(&id) {
                Some(Some(wanted)) => affected.push(wanted.clone()),
                _ => not_followed = not_followed.saturating_add(1),
            }
        }
        let (id, summary) = (self.document.tracking.id, self.document.title);
        let aliases = aliases.into_iter().collect();
        Read { id, aliases, summary, affected, not_followed }.checked()
    }
}

impl Place {
    fn enter(&mut self, branch: &Branch) {
        let name = || Some(branch.name.clone());
        match branch.category.as_str() {
            "product_name" => self.product = name(),
            "product_version" => (self.version, self.range) = (name(), None),
            "product_version_range" => (self.version, self.range) = (None, name()),
            _ => {}
        }
    }
}

fn enter(
    products: &mut BTreeMap<String, Option<Wanted>>,
    product: Product,
    place: &Place,
) -> Result<(), ImportError> {
    if products.len() >= AFFECTED_MAX.saturating_mul(4) {
        let (max, got) = (AFFECTED_MAX.saturating_mul(4), products.len());
        return Err(ImportError::TooMany { what: "products", max, got });
    }
    let (package, at) = match (&product.product_identification_helper.purl, &place.product) {
        (Some(purl), _) => {
            let (package, at) = Package::from_purl(purl)?;
            (Some(package), at)
        }
        (None, Some(name)) if name.len() <= NAME_BYTES_MAX => (Some(Package::named(name)), None),
        _ => (None, None),
    };
    let version = place.version.clone().or(at);
    let wanted = match package {
        None => None,
        Some(package) => {
            let ranges = match &place.range {
                Some(text) => ranges(text)?,
                None => Vec::new(),
            };
            Some(Wanted { package, ranges, versions: version.into_iter().collect() })
        }
    };
    products.insert(product.product_id, wanted);
    Ok(())
}

/// The ranges of a `vers:` (package-url/vers-spec) or of bounds with commas between them.
fn ranges(text: &str) -> Result<Vec<Vec<Bound>>, ImportError> {
    let bad = || ImportError::unexpected("a range such as vers:deb/>=3.0|<3.0.14", text);
    if text.len() > NAME_BYTES_MAX {
        return Err(bad());
    }
    let Some(vers) = text.strip_prefix("vers:") else {
        let parts = text.split(',').map(|part| Bound::parse(part.trim()).ok_or_else(bad));
        return Ok(alloc::vec![parts.collect::<Result<_, _>>()?]);
    };
    let (_, constraints) = vers.split_once('/').ok_or_else(bad)?;
    if constraints == "*" {
        return Ok(alloc::vec![Vec::new()]);
    }
    let mut ranges: Vec<Vec<Bound>> = Vec::new();
    let mut open = false;
    for part in constraints.split('|').map(str::trim) {
        let bound = match part.starts_with(['<', '>', '=']) {
            true => Bound::parse(part).ok_or_else(bad)?,
            false if part.is_empty() || part.starts_with('!') => return Err(bad()),
            false => Bound::new(Op::Equal, part),
        };
        match bound.op {
            // What begins goes on until something ends it.
            Op::AtLeast | Op::Above => {
                ranges.push(alloc::vec![bound]);
                open = true;
            }
            Op::Below | Op::AtMost => {
                match ranges.last_mut() {
                    Some(range) if open => range.push(bound),
                    _ => ranges.push(alloc::vec![bound]),
                }
                open = false;
            }
            Op::Equal => ranges.push(alloc::vec![bound]),
        }
    }
    Ok(ranges)
}
