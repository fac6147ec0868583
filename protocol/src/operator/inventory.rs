//! The inventory: machines that may enrol, as their maker or whoever bought them lists them. What
//! is wrong with a list is said line by line, and a list is taken in whole or not at all.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::{DeviceId, ModelName, SerialNumber};

/// Machines in one list: they are entered in one commit.
pub const INVENTORY_ITEMS_MAX: usize = 2000;

/// Shortest and longest claim of a maker's own, in bytes: 22 characters of base64 have 128 bits.
const CLAIM_BYTES: core::ops::RangeInclusive<usize> = 22..=128;

/// Longest name of a group, in bytes.
const GROUP_BYTES_MAX: usize = 128;

/// `POST /v1/inventory`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryRequest {
    /// The machines, at most [`INVENTORY_ITEMS_MAX`].
    pub items: Vec<InventoryItem>,
    /// Machines that are listed already, with something else, and have not enrolled are replaced.
    #[serde(default)]
    pub replace: bool,
    /// Say what would happen, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Why.
    pub reason: String,
}

/// One machine.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryItem {
    /// Its line in the file that it was read from; what is wrong with it is said with that.
    pub line: u64,
    /// The serial number printed on it.
    pub serial: SerialNumber,
    /// Who it becomes.
    pub device: DeviceId,
    /// Its hardware model.
    pub model: ModelName,
    /// The group that it is put in when it enrols.
    #[serde(default)]
    pub group: Option<String>,
    /// How its TPM is known; none for a machine that shows a claim.
    #[serde(default)]
    pub endorsement: Option<Endorsement>,
    /// The factory of the server's settings whose certificate it shows.
    #[serde(default)]
    pub factory: Option<String>,
    /// Its claim, where its maker has given it one; the server keeps the hash.
    #[serde(default)]
    pub claim: Option<String>,
    /// The number of its modem, 15 digits.
    #[serde(default)]
    pub imei: Option<String>,
    /// The number of its SIM, 18 to 20 digits.
    #[serde(default)]
    pub iccid: Option<String>,
    /// Its subscriber's number, 6 to 15 digits.
    #[serde(default)]
    pub imsi: Option<String>,
}

impl core::fmt::Debug for InventoryItem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The claim is a secret, and who has which SIM is nobody's business.
        f.debug_struct("InventoryItem")
            .field("line", &self.line)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// How a machine's TPM is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Endorsement {
    /// SHA-256 of its endorsement key's SubjectPublicKeyInfo in DER: this TPM and no other.
    Key(Sha256Digest),
    /// Any TPM with a certificate of a maker that the server trusts; the first one stays.
    Certificate,
}

impl TryFrom<String> for Endorsement {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "certificate" {
            return Ok(Self::Certificate);
        }
        let wanted = "expected the SHA-256 of the endorsement key in hexadecimal digits, or \
                      certificate";
        text.parse().map(Self::Key).map_err(|_| wanted.into())
    }
}

impl From<Endorsement> for String {
    fn from(endorsement: Endorsement) -> Self {
        match endorsement {
            Endorsement::Key(digest) => digest.to_string(),
            Endorsement::Certificate => "certificate".into(),
        }
    }
}

/// What became of a list.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryReply {
    /// Machines that were not listed before.
    pub added: u64,
    /// Machines whose entry is another now.
    pub replaced: u64,
    /// Machines that were listed just so.
    pub unchanged: u64,
    /// Nothing of it was done.
    pub dry_run: bool,
}

/// Something that is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    /// The line.
    pub line: u64,
    /// What was expected and what came.
    pub what: String,
}

impl core::fmt::Display for LineProblem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Everything that is wrong with a list by itself. Secrets and numbers of SIMs are not repeated.
#[must_use]
pub fn problems(items: &[InventoryItem]) -> Vec<LineProblem> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for item in items {
        let mut wrong = |what: String| problems.push(LineProblem { line: item.line, what });
        if let Err(what) = item.check() {
            wrong(what);
        }
        for (kind, value) in item.own() {
            match seen.get(&(kind, value.clone())) {
                Some(first) => wrong(format!("the same {kind} as in line {first}")),
                None => {
                    seen.insert((kind, value), item.line);
                }
            }
        }
    }
    problems
}

impl InventoryItem {
    /// What no two machines may share.
    fn own(&self) -> Vec<(&'static str, String)> {
        let mut own =
            alloc::vec![("serial", self.serial.to_string()), ("device", self.device.to_string())];
        if let Some(Endorsement::Key(key)) = &self.endorsement {
            own.push(("endorsement", key.to_string()));
        }
        let texts = [
            ("claim", &self.claim),
            ("imei", &self.imei),
            ("iccid", &self.iccid),
            ("imsi", &self.imsi),
        ];
        own.extend(texts.into_iter().filter_map(|(kind, it)| Some((kind, it.clone()?))));
        own
    }

    fn check(&self) -> Result<(), String> {
        let ways = [self.endorsement.is_some(), self.claim.is_some(), self.factory.is_some()];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            return Err("expected either an endorsement or a claim, or a factory".into());
        }
        if let Some(claim) = &self.claim {
            let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
            if !CLAIM_BYTES.contains(&claim.len()) || !claim.bytes().all(plain) {
                return Err(format!(
                    "expected a claim of {} to {} letters, digits, - and _, got {} bytes",
                    CLAIM_BYTES.start(),
                    CLAIM_BYTES.end(),
                    claim.len()
                ));
            }
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let named = |group: &String| !group.is_empty() && group.bytes().all(plain);
        if self.factory.as_ref().is_some_and(|it| !named(it) || it.len() > GROUP_BYTES_MAX) {
            return Err("expected the name of a factory of the server's settings".into());
        }
        if self.group.as_ref().is_some_and(|it| !named(it) || it.len() > GROUP_BYTES_MAX) {
            return Err(format!(
                "expected a group of 1 to {GROUP_BYTES_MAX} letters, digits, dots, dashes and \
                 underscores"
            ));
        }
        for kind in NumberKind::ALL {
            let said = match kind {
                NumberKind::Imei => &self.imei,
                NumberKind::Iccid => &self.iccid,
                NumberKind::Imsi => &self.imsi,
            };
            if let Some(text) = said {
                number(kind, text)?;
            }
        }
        Ok(())
    }
}

/// A number that a modem or SIM has. Names travel and are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberKind {
    /// The modem's.
    Imei,
    /// The SIM card's.
    Iccid,
    /// The subscriber's.
    Imsi,
}

impl NumberKind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Imei, Self::Iccid, Self::Imsi];

    /// As it travels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imei => "imei",
            Self::Iccid => "iccid",
            Self::Imsi => "imsi",
        }
    }

    const fn digits(self) -> core::ops::RangeInclusive<usize> {
        match self {
            Self::Imei => 15..=15,
            Self::Iccid => 18..=20,
            Self::Imsi => 6..=15,
        }
    }

    /// Those whose last digit checks the others. Some SIM cards have 18 or 20 digits without one:
    /// those are judged by their digits alone.
    const fn is_checked(self, length: usize) -> bool {
        matches!((self, length), (Self::Imei, 15) | (Self::Iccid, 19))
    }
}

/// The number in what a modem printed: its digits, without the spaces, quotes and filling `F` that
/// modems put around them (3GPP TS 51.011, 10.1.1); none where that is no such number.
#[must_use]
pub fn number_in(kind: NumberKind, text: &str) -> Option<String> {
    let text = text.trim().trim_matches(|c: char| c == '"' || c.is_ascii_whitespace());
    let text = text.trim_end_matches(['F', 'f']);
    number(kind, text).ok().map(|()| text.into())
}

/// Digits, of which the last is right by Luhn's rule where there is one that checks the others
/// (ISO/IEC 7812-1; 3GPP TS 23.003, annex B).
fn number(kind: NumberKind, text: &str) -> Result<(), String> {
    let (what, length) = (kind.as_str(), kind.digits());
    if !length.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        let (low, high) = (length.start(), length.end());
        let digits = if low == high { format!("{low}") } else { format!("{low} to {high}") };
        return Err(format!("expected an {what} of {digits} digits"));
    }
    if kind.is_checked(text.len()) && !luhn(text) {
        return Err(format!("expected an {what} whose check digit is right"));
    }
    Ok(())
}

fn luhn(digits: &str) -> bool {
    let sum = digits.bytes().rev().enumerate().fold(0_u32, |sum, (place, byte)| {
        let digit = u32::from(byte.saturating_sub(b'0'));
        let doubled = digit.saturating_mul(2);
        let weighed = match place % 2 {
            0 => digit,
            _ if doubled > 9 => doubled.saturating_sub(9),
            _ => doubled,
        };
        sum.saturating_add(weighed)
    });
    sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(line: u64, serial: &str) -> InventoryItem {
        InventoryItem {
            line,
            serial: serial.parse().unwrap(),
            device: serial.parse().unwrap(),
            model: "gw2".parse().unwrap(),
            group: None,
            endorsement: Some(Endorsement::Certificate),
            claim: None,
            factory: None,
            imei: None,
            iccid: None,
            imsi: None,
        }
    }

    fn said(items: &[InventoryItem]) -> Vec<String> {
        problems(items).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn numbers_of_modems_and_sims_are_checked_and_never_repeated() {
        let mut good = item(2, "sn-1");
        good.imei = Some("490154203237518".into());
        good.iccid = Some("8944500102198304826".into());
        assert_eq!(said(&[good.clone()]), Vec::<String>::new());
        good.imei = Some("490154203237519".into());
        assert_eq!(said(&[good.clone()]), ["line 2: expected an imei whose check digit is right"]);
        good.imei = Some("49015420323751".into());
        assert_eq!(said(&[good.clone()]), ["line 2: expected an imei of 15 digits"]);
        good.imei = None;
        good.iccid = Some("894450010219830482x".into());
        assert_eq!(said(&[good]), ["line 2: expected an iccid of 18 to 20 digits"]);
    }

    #[test]
    fn what_two_machines_share_is_said_with_both_lines() {
        let mut one = item(2, "sn-1");
        one.endorsement = Some(Endorsement::Key(Sha256Digest::of(b"ek")));
        let mut other = InventoryItem { line: 7, ..one.clone() };
        other.serial = "sn-2".parse().unwrap();
        assert_eq!(
            said(&[one, other]),
            ["line 7: the same device as in line 2", "line 7: the same endorsement as in line 2",]
        );
    }

    #[test]
    fn a_machine_has_a_claim_or_a_tpm() {
        let neither = InventoryItem { endorsement: None, ..item(3, "sn-1") };
        assert_eq!(
            said(core::slice::from_ref(&neither)),
            ["line 3: expected either an endorsement or a claim, or a factory"]
        );
        let claimed = |claim: &str| InventoryItem { claim: Some(claim.into()), ..neither.clone() };
        assert_eq!(said(&[claimed("abcdefghijklmnopqrstuv")]), Vec::<String>::new());
        let problems = said(&[claimed("secret")]);
        assert!(problems[0].contains("22 to 128") && !problems[0].contains("secret"));
    }
}
