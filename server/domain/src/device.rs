//! The record of one device. It holds all that the device's own requests may change.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::containment::{ContainmentWord, Level, Terms};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName, OperatorName, RolloutId, SerialNumber};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::operator::{DeviceView, NumberKind};
use lazaret_protocol::order::{Order, OrderKind, Outcome};
use lazaret_protocol::poll::{LogHead, Posture, RunningRelease};
use lazaret_protocol::time::{DAY_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::attestation::Hardware;
use crate::attribute::{self, Entries};
use crate::clone::Watch;
use crate::inventory::Item;
use crate::number::{self, Bound};
use crate::record::Record;
use crate::refused::Refused;
use crate::retire::Retired;
use crate::sweep::table::Seen;

/// Orders that one device may have open at once. The operator is refused the next one: an order
/// nobody answers should be looked at, not buried under others.
pub const OPEN_ORDERS_MAX: usize = 32;

/// How long an order stands, in milliseconds. For a device that was away longer it ends as expired;
/// only quarantine is ordered again by itself.
pub const ORDER_VALID_MS: u64 = 7 * DAY_MS;

/// Probes that one device may report.
pub const PROBES_MAX: usize = 32;

/// One enrolled machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Who it is.
    pub id: DeviceId,
    /// What is printed on it.
    pub serial: SerialNumber,
    /// Its hardware model, as it was provisioned; what it reports must agree.
    pub model: ModelName,
    /// Its public key, which also signs its reports.
    pub key: PublicKey,
    /// SHA-256 of the certificates it may use: the current one first, then the one before.
    pub certificates: Vec<Sha256Digest>,
    /// When the current certificate ends.
    pub certificate_ends: Timestamp,
    /// When it enrolled.
    pub enrolled: Timestamp,
    /// In quarantine, by whom and why.
    pub quarantine: Option<Quarantine>,
    /// The number of its last poll.
    pub poll_sequence: u64,
    /// Polls accepted.
    pub polls: u64,
    /// Its last poll.
    pub last_seen: Option<Timestamp>,
    /// What runs, by its own word.
    pub running: Option<RunningRelease>,
    /// What its update machine does, by its own word.
    pub update_state: String,
    /// The head of its forensic log.
    pub log_head: Option<LogHead>,
    /// The number of the last order given.
    pub order_sequence: u64,
    /// Orders without an outcome.
    pub open_orders: Vec<OpenOrder>,
    /// How the last order ended, in words.
    pub last_outcome: Option<String>,
    /// What it says of itself. Nothing is granted by it.
    #[serde(default)]
    pub attributes: Entries,
    /// What operators assigned.
    #[serde(default)]
    pub labels: Entries,
    /// The group that operators put it in.
    #[serde(default)]
    pub group: Option<String>,
    /// Minutes that its local time is ahead of UTC, by its own word.
    #[serde(default)]
    pub utc_offset_min: Option<i16>,
    /// Its charge in percent; none without a battery.
    #[serde(default)]
    pub battery_percent: Option<u8>,
    /// Its probes, and whether each passed last time.
    #[serde(default)]
    pub probes: BTreeMap<String, bool>,
    /// What the other slot holds, where it could run.
    #[serde(default)]
    pub other_release: Option<RunningRelease>,
    /// Its TPM, where it enrolled by one.
    #[serde(default)]
    pub hardware: Option<Hardware>,
    /// What tells it from its copies.
    #[serde(default)]
    pub watch: Watch,
    /// The release counter below which nothing runs on it, by its own word.
    #[serde(default)]
    pub release_floor: Option<u64>,
    /// Numbers of its modem and SIM.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<NumberKind, Bound>,
    /// It is out of service for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
}

/// Why a device is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Who said so.
    pub by: OperatorName,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// The device itself has said that it holds, and proved what it could.
    pub confirmed: bool,
    /// How far, and what stays open. Records without are from before there were levels.
    #[serde(default)]
    pub terms: Terms,
    /// What the device last said of it.
    #[serde(default)]
    pub word: Option<ContainmentWord>,
    /// How the order ended on the device, where it has.
    #[serde(default)]
    pub ended: Option<Outcome>,
}

/// An order without an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// The order.
    pub order: Order,
    /// The rollout it belongs to.
    pub rollout: Option<RolloutId>,
    /// An order to halt it has been given: one is enough, whatever the device makes of it.
    #[serde(default)]
    pub halted: bool,
}

impl Record for Device {
    const KIND: &'static str = "device";
    fn name(&self) -> String {
        self.id.to_string()
    }
    fn seen(&self) -> Option<Seen> {
        Some(Seen::Device(self.into()))
    }
}

impl Device {
    /// Adds an order and says its number: max(last + 1, now in ms), so that a server restored from
    /// a backup does not fall behind its devices.
    ///
    /// # Errors
    /// [`OPEN_ORDERS_MAX`] orders are open.
    pub fn give_order(
        &mut self,
        kind: OrderKind,
        rollout: Option<RolloutId>,
        now: Timestamp,
    ) -> Result<u64, Refused> {
        if self.open_orders.len() >= OPEN_ORDERS_MAX {
            return Err(Refused::because(
                lazaret_protocol::refusal::RefusalCode::Conflict,
                alloc::format!(
                    "{} has {OPEN_ORDERS_MAX} orders open, which is the most; it has to answer \
                     some first",
                    self.id
                ),
            ));
        }
        let sequence = now.as_ms().max(self.order_sequence.saturating_add(1));
        self.order_sequence = sequence;
        let order = Order {
            device: self.id.clone(),
            sequence,
            issued: now,
            expires: now.plus_ms(ORDER_VALID_MS),
            kind,
        };
        self.open_orders.push(OpenOrder { order, rollout, halted: false });
        Ok(sequence)
    }

    /// Notes how an order about containment ended.
    pub fn note_containment(&mut self, kind: &OrderKind, outcome: &Outcome) {
        if let (OrderKind::Quarantine { terms, .. }, Some(quarantine)) =
            (kind, &mut self.quarantine)
            && terms.level == quarantine.terms.level
        {
            quarantine.ended = Some(outcome.clone());
        }
    }

    /// Notes that an open order is to be halted.
    pub fn mark_halted(&mut self, sequence: u64) {
        let open = self.open_orders.iter_mut().find(|open| open.order.sequence == sequence);
        if let Some(open) = open {
            open.halted = true;
        }
    }

    /// Takes an open order out; none where there is no such order.
    pub fn close_order(&mut self, sequence: u64) -> Option<OpenOrder> {
        let at = self.open_orders.iter().position(|open| open.order.sequence == sequence)?;
        Some(self.open_orders.remove(at))
    }

    /// Takes in what the device says of itself, within the limits.
    pub fn take_posture(&mut self, posture: &Posture) {
        self.attributes = attribute::within_limits(&posture.attributes);
        // Numbers of modems and SIMs are kept keyed, and never as attributes.
        self.attributes.retain(|name, _| !attribute::is_number(name));
        // Farther from UTC than any place on earth is, is a broken clock and no time zone.
        self.utc_offset_min =
            posture.utc_offset_min.filter(|min| (-14 * 60..=14 * 60).contains(min));
        self.battery_percent = posture.battery_percent.map(|percent| percent.min(100));
        let probes = posture.probes.iter().filter(|(name, _)| attribute::is_key(name));
        self.probes =
            probes.take(PROBES_MAX).map(|(name, passed)| (name.clone(), *passed)).collect();
        self.other_release.clone_from(&posture.other_release);
        self.release_floor = posture.release_floor;
    }

    /// Takes in what the inventory says of it beside who it is.
    pub(crate) fn take_listing(&mut self, item: &Item) {
        self.group.clone_from(&item.group);
        self.numbers = number::listed([
            (NumberKind::Imei, item.imei),
            (NumberKind::Iccid, item.iccid),
            (NumberKind::Imsi, item.imsi),
        ]);
    }

    /// Whether nothing is installed on it until an operator accepts that a number of its modem or
    /// SIM has changed.
    #[must_use]
    pub fn awaits_acceptance(&self) -> bool {
        self.numbers.values().any(|bound| bound.swap.as_ref().is_some_and(|swap| swap.held))
    }

    /// How far it is shut in; none where it is free.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.quarantine.as_ref().map(|quarantine| quarantine.terms.level)
    }

    /// Whether rollouts leave it out.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.level().is_some_and(Level::holds_rollouts)
    }

    /// The endorsement key of its TPM, by SHA-256; none where it enrolled without one.
    #[must_use]
    pub fn endorsement(&self) -> Option<&Sha256Digest> {
        self.hardware.as_ref().map(|hardware| &hardware.endorsement)
    }

    /// What its cohort is called: devices of one model and hardware revision are like each other.
    #[must_use]
    pub fn cohort(&self) -> String {
        self.attributes.get(attribute::HARDWARE).cloned().unwrap_or_default()
    }

    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> DeviceView {
        DeviceView {
            id: self.id.clone(),
            serial: self.serial.clone(),
            model: self.model.clone(),
            quarantine: self.quarantine.as_ref().map(|q| q.reason.clone()),
            quarantine_confirmed: self.quarantine.as_ref().is_some_and(|q| q.confirmed),
            quarantine_level: self.level(),
            containment: self.quarantine.as_ref().and_then(|q| q.word.clone()),
            running: self.running.clone(),
            update_state: self.update_state.clone(),
            last_seen: self.last_seen,
            polls: self.polls,
            certificate_ends: self.certificate_ends,
            last_outcome: self.last_outcome.clone(),
            attributes: self.attributes.clone(),
            labels: self.labels.clone(),
            group: self.group.clone(),
            hardware: self.hardware.as_ref().map(Hardware::view),
            suspicions: self.watch.view(),
            numbers: self
                .numbers
                .iter()
                .map(|(kind, bound)| (kind.as_str().to_string(), bound.view()))
                .collect(),
            retired: self.retired.as_ref().map(|retired| retired.reason.clone()),
        }
    }
}

/// An order in a few words, for the event log.
#[must_use]
pub fn order_in_words(kind: &OrderKind) -> String {
    match kind {
        OrderKind::Install { model, version, .. } => alloc::format!("install {model} {version}"),
        OrderKind::Cure { model, version, incident, .. } => {
            alloc::format!("install {model} {version}, which cures {incident}")
        }
        OrderKind::Revert { model, version, .. } => alloc::format!("go back to {model} {version}"),
        OrderKind::Halt { install } => alloc::format!("halt the install of order {install}"),
        OrderKind::Quarantine { terms, .. } => {
            alloc::format!("enter quarantine at {}", terms.level)
        }
        OrderKind::Release { .. } => "leave quarantine".to_string(),
        OrderKind::Collect { bundle, .. } => alloc::format!("collect evidence as {bundle}"),
        _ => "an order of a newer kind".to_string(),
    }
}
