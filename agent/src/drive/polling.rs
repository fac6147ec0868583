//! What goes between the device and the server beside images and evidence: polls, orders, reports,
//! renewals, and the refresh of signed metadata.

use lazaret_agent_core::clock::{Word, weigh};
use lazaret_agent_core::event::Event;
use lazaret_agent_core::journal::{PendingReport, Quarantine};
use lazaret_agent_core::poll::after_answer;
use lazaret_agent_core::slot::Slot;
use lazaret_protocol::limits::{ORDERS_PER_POLL_MAX, POLL_INTERVAL_MS_MIN};
use lazaret_protocol::order::Order;
use lazaret_protocol::poll::{LogWitnessed, PollReply, PollRequest, RunningRelease};
use lazaret_protocol::report::Report;
use lazaret_protocol::signed::{Envelope, EnvelopeError, Verified};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::device_log::verify::witness_keys;
use lazaret_protocol_evidence::log::Detail;

use super::held::{Bell, HeldPoll};
use super::metadata::Alarm;
use super::start::{mirrors, transport};
use super::{Drive, PROBE_ROUND_MS, Pace, Stop, random};
use crate::cli::chain;
use crate::identity::KeyError;
use crate::posture;
use crate::transport::TransportError;

/// A renewal whose moment has not come is looked at again after so long, in milliseconds.
const RENEWAL_LOOK_MS: u64 = 60_000;

impl Drive {
    /// Whether it is time to poll. A device that could be connected and is not does not wait for
    /// its turn to be.
    pub(super) fn poll_is_due(&self) -> bool {
        let could_be = !self.connected && self.hold_ms() > 0 && self.polls.failures == 0;
        self.held.is_none() && (could_be || self.polls.due(self.now_ms()))
    }

    /// Polls. Where the server may hold the answer back, it is taken up when it comes; otherwise at
    /// once.
    pub(super) fn poll(&mut self) -> Result<(), Stop> {
        self.tell(&Event::PollDue)?;
        let logs = self.log.growth()?;
        let request = PollRequest { logs, ..self.poll_request() };
        self.connected = request.hold_ms > 0;
        if self.connected {
            match HeldPoll::send(self.transport.clone(), request.clone()) {
                Ok(held) => {
                    self.held = Some(held);
                    return Ok(());
                }
                Err(err) => tracing::warn!("the poll cannot be held back: {err}"),
            }
        }
        let answer = self.transport.poll(&PollRequest { hold_ms: 0, ..request });
        self.polled(answer)
    }

    /// Takes up the answer to a poll that was held back, where it came.
    pub(super) fn take_held(&mut self) -> Result<(), Stop> {
        let Some(answer) = self.held.as_mut().and_then(HeldPoll::answer) else { return Ok(()) };
        self.held = None;
        self.polled(answer)
    }

    /// Says, while something long is under way, whether the loop has to look up: the next poll is
    /// due, or the answer to one that was held back is there, which may be a halt.
    pub(super) fn until_called(&self) -> impl Fn() -> bool + use<> {
        let until = self.polls.next_ms.max(self.now_ms().saturating_add(PROBE_ROUND_MS));
        let (clock, bell) = (self.clock.clone(), self.held.as_ref().map(HeldPoll::bell));
        move || bell.as_ref().is_some_and(Bell::rang) || clock.monotonic_ms() >= until
    }

    /// Polls at the next opportunity, because there is something to say.
    pub(super) fn hurry(&mut self) {
        if self.polls.failures == 0 {
            self.held = None;
            self.polls.next_ms = 0;
        }
    }

    fn polled(&mut self, answer: Result<PollReply, TransportError>) -> Result<(), Stop> {
        match answer {
            Ok(reply) => self.answered(reply),
            Err(err) => {
                let sequence = self.journal.poll_sequence;
                tracing::warn!("poll {sequence} failed: {}", chain(&err));
                self.polls = self.slower(self.polls, err.retry_after_ms())?;
                Ok(())
            }
        }
    }

    /// How long the next poll may be held back, in milliseconds. The first one is not: until it is
    /// answered, the time is not known.
    fn hold_ms(&self) -> u64 {
        let told =
            matches!(self.clock.source(), lazaret_agent_core::clock::Source::Authenticated { .. });
        if told { self.config.hold_ms } else { 0 }
    }

    pub(super) fn poll_request(&self) -> PollRequest {
        let other = Slot::inactive(self.slots.booted());
        PollRequest {
            sequence: self.journal.poll_sequence,
            model: self.config.model.clone(),
            running: self.running(),
            update_state: self.journal.update.name().to_owned(),
            other_slot: self.slots.health(other),
            boot_count: self.journal.boot_count,
            tuf_timestamp_version: self.journal.tuf.timestamp,
            order_sequence: self.journal.order_sequence,
            log_head: self.log.head(),
            quarantined: self.journal.quarantine != Quarantine::Free,
            containment: self.containment_word(),
            nonce: self.ratchet.nonce(),
            boot: posture::boot(&self.start),
            hold_ms: self.hold_ms(),
            posture: Some(self.posture()),
            logs: Vec::new(),
        }
    }

    /// The release that runs.
    pub(super) fn running(&self) -> Option<RunningRelease> {
        let slot = self.slots.booted()?;
        Some(self.journal.slots.release(slot)?.running())
    }

    fn answered(&mut self, reply: PollReply) -> Result<(), Stop> {
        if let Some(nonce) = reply.nonce {
            self.ratchet.turn(nonce, &self.durable)?;
        }
        let wait = after_answer(reply.next_poll_ms, random()?);
        self.polls = Pace { failures: 0, next_ms: self.now_ms().saturating_add(wait) };
        self.announced = reply.tuf_timestamp_version;
        let word = self.time_told(reply.time)?;
        let moved = reply.tuf_timestamp_version != self.journal.tuf.timestamp;
        if moved || self.anchors.is_none() || word == Word::Doubted {
            self.refresh()?;
        }
        // Fresh metadata may justify what nothing did before: a device that was off for a year
        // knows no better at first.
        if word == Word::Doubted && self.time_told(reply.time)? == Word::Doubted {
            self.doubt(reply.time)?;
        }
        self.take_witness(&reply.logs)?;
        if reply.renew {
            self.renew()?;
        }
        self.take_orders(&reply.orders)
    }

    /// Takes what the server witnessed of the log, where one of the anchors' keys has cosigned it.
    fn take_witness(&mut self, words: &[LogWitnessed]) -> Result<(), Stop> {
        let keys = self.anchors.as_ref().map_or(&[][..], |anchors| &anchors.order_keys);
        let keys = witness_keys(keys);
        Ok(self.log.witnessed(words, |note| note.verify(&keys).is_ok())?)
    }

    /// Believes the server's time where something signed justifies it.
    fn time_told(&mut self, time: Timestamp) -> Result<Word, Stop> {
        let word = weigh(time, self.journal.time_horizon);
        if word == Word::Doubted {
            self.clock.doubted(time);
            return Ok(word);
        }
        self.refusals.retain(|(code, _)| code != Alarm::ClockDoubted.code());
        if let Some(off_ms) = self.clock.told(time) {
            let detail = Detail::none().number("off-ms", off_ms).number("told", time.as_ms());
            self.note("clock-step", detail)?;
        }
        self.tell(&Event::TimeTold { time })?;
        Ok(word)
    }

    /// Says that the server's clock is not believed, once until it is again.
    fn doubt(&mut self, time: Timestamp) -> Result<(), Stop> {
        let code = Alarm::ClockDoubted.code();
        if !self.is_news(code, "") {
            return Ok(());
        }
        let horizon = self.journal.time_horizon;
        tracing::warn!(
            "the server says that it is {time}, signed metadata only reach to {horizon}"
        );
        let detail = Detail::none()
            .text("code", code)
            .number("told", time.as_ms())
            .number("horizon", horizon.as_ms());
        self.note(code, detail)
    }

    pub(super) fn take_orders(&mut self, orders: &[Envelope]) -> Result<(), Stop> {
        for envelope in orders.iter().take(ORDERS_PER_POLL_MAX) {
            let Some(order) = self.verified(envelope)? else { continue };
            let order = order.into_message();
            let sequence = order.sequence;
            self.take_order(order, envelope)?;
            if self.journal.order_sequence < sequence && !self.journal.has_room_for_an_order() {
                // It comes again once the reports that wait have gone.
                self.polls.next_ms = self.now_ms().saturating_add(POLL_INTERVAL_MS_MIN);
                return Ok(());
            }
        }
        if !orders.is_empty() {
            self.updates = Pace::default();
            self.collections = Pace::default();
            self.reports.next_ms = 0;
        }
        Ok(())
    }

    /// An order that a key of the anchors has signed. Where none has, the keys may have been
    /// rotated: they are fetched anew once.
    fn verified(&mut self, envelope: &Envelope) -> Result<Option<Verified<Order>>, Stop> {
        let mut outcome = self.by_order_keys(envelope);
        if matches!(outcome, Err(EnvelopeError::NotSigned { .. })) {
            self.refresh()?;
            outcome = self.by_order_keys(envelope);
        }
        match outcome {
            Ok(order) => Ok(Some(order)),
            Err(err) => {
                self.refuse("order-not-verified", &err)?;
                Ok(None)
            }
        }
    }

    fn by_order_keys(&self, envelope: &Envelope) -> Result<Verified<Order>, EnvelopeError> {
        let keys = self.anchors.as_ref().map_or(&[][..], |anchors| &anchors.order_keys);
        envelope.verify(keys)
    }

    /// Sends what the server has not acknowledged.
    pub(super) fn report(&mut self) -> Result<(), Stop> {
        for pending in self.journal.reports.clone() {
            let order = pending.order;
            let envelope = match self.sealed(pending) {
                Ok(envelope) => envelope,
                Err(err) => {
                    tracing::warn!("report on order {order} is not signed: {}", chain(&err));
                    self.reports = self.slower(self.reports, 0)?;
                    return Ok(());
                }
            };
            match self.transport.report(&envelope) {
                Ok(reply) if reply.order == order => self.tell(&Event::Acknowledged { order })?,
                Ok(reply) => {
                    tracing::warn!("report on order {order} was answered for {}", reply.order);
                    self.reports = self.slower(self.reports, 0)?;
                    return Ok(());
                }
                Err(err) if err.refused_code() == Some("replay") => {
                    // The server has it; only its answer was lost.
                    self.tell(&Event::Acknowledged { order })?;
                }
                Err(err) if for_good(&err) => {
                    tracing::error!("report on order {order} is given up: {}", chain(&err));
                    let code = err.refused_code().unwrap_or_default().to_owned();
                    self.tell(&Event::ReportRefused { order, code })?;
                }
                Err(err) => {
                    tracing::warn!("report on order {order} failed: {}", chain(&err));
                    self.reports = self.slower(self.reports, err.retry_after_ms())?;
                    return Ok(());
                }
            }
        }
        self.reports = Pace::default();
        Ok(())
    }

    fn sealed(&self, pending: PendingReport) -> Result<Envelope, KeyError> {
        let report = Report {
            device: self.certificate.device().clone(),
            order: pending.order,
            outcome: pending.outcome,
            running: self.running(),
            at: self.clock.now(),
            log_head: self.log.head(),
            bytes_fetched: pending.bytes_fetched,
            pace: pending.pace,
            answers: pending.answers,
        };
        self.key.seal(&report)
    }

    /// Renews the certificate around half its life.
    pub(super) fn renew_if_due(&mut self) -> Result<(), Stop> {
        if self.clock.now() >= self.certificate.renew_at(self.renewal_random) {
            return self.renew();
        }
        self.renewals.next_ms = self.now_ms().saturating_add(RENEWAL_LOOK_MS);
        Ok(())
    }

    fn renew(&mut self) -> Result<(), Stop> {
        if self.renewals.failures == 0 {
            let not_after = self.certificate.reply.not_after.as_ms();
            self.note("certificate-renewal", Detail::none().number("not-after", not_after))?;
        }
        let state_dir = &self.config.state_dir;
        match self.certificate.renew(state_dir, &self.key, &self.transport, &self.durable) {
            Ok(certificate) => {
                self.transport = transport(&self.config, &certificate, &self.key, &self.clock)?;
                self.mirrors = mirrors(&self.config, &self.transport, &self.clock)?;
                self.certificate = certificate;
                self.renewal_random = random()?;
                let next_ms = self.now_ms().saturating_add(RENEWAL_LOOK_MS);
                self.renewals = Pace { failures: 0, next_ms };
                tracing::info!("the certificate was renewed");
            }
            Err(err) => {
                tracing::warn!("the certificate was not renewed: {}", chain(&err));
                self.renewals = self.slower(self.renewals, 0)?;
            }
        }
        Ok(())
    }
}

/// Whether the server will never take this, however often it is sent.
fn for_good(err: &TransportError) -> bool {
    matches!(err.refused_code(), Some("bad-request" | "too-large" | "conflict" | "not-found"))
}
