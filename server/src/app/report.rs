//! A device reports how an order ended, signed with its own key.

use std::sync::atomic::{AtomicBool, Ordering};

use lazaret_protocol::order::OrderKind;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::report::{Report, ReportReply};
use lazaret_protocol::signed::{DevicePeer, Envelope};
use lazaret_server_domain::device::Device;
use lazaret_server_domain::quarantine::leave::Known;
use lazaret_server_domain::record::Found;
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::report::{self, ReportView};
use lazaret_server_domain::rollout::state::assignment_name;
use lazaret_server_store::Committed;

use super::context::App;
use super::error::AppError;
use super::leave;

/// Takes a report in.
///
/// # Errors
/// Not signed by the device's key, or as the domain says; or the store.
pub(crate) async fn report(
    app: &App,
    peer: &DevicePeer,
    envelope: &Envelope,
) -> Result<Committed<ReportReply>, AppError> {
    let news = AtomicBool::new(false);
    let committed = app
        .decide(|| async {
            let device: Found<Device> = app.store.find(peer.device().as_str()).await?;
            let keys = device.value.iter().map(|device| device.key.clone()).collect::<Vec<_>>();
            let report = envelope.verify::<Report>(&keys).map_err(|err| {
                Refused::because(RefusalCode::BadRequest, format!("report is refused: {err}"))
            })?;
            let view = view(app, device, report.message()).await?;
            let mut decision = report::decide(&view, &report, app.now())?;
            if let Some(receipt) = leave::receipt(app, &view, (report.message(), envelope))? {
                decision = decision.put(&receipt);
            }
            news.store(!decision.changes_nothing(), Ordering::Relaxed);
            Ok(decision)
        })
        .await?;
    // A report that says nothing new must not make the whole fleet look up.
    if news.load(Ordering::Relaxed) {
        app.wake();
    }
    Ok(committed)
}

async fn view(app: &App, device: Found<Device>, report: &Report) -> Result<ReportView, AppError> {
    let order = report.order;
    let open = device.value.as_ref().and_then(|device| {
        let open = device.open_orders.iter().find(|open| open.order.sequence == order)?;
        Some((device.clone(), open.clone()))
    });
    let mut view = ReportView {
        device,
        rollout: None,
        assignment: None,
        bundle: None,
        known: Known::default(),
    };
    let Some((device, open)) = open else { return Ok(view) };
    if let Some(rollout) = &open.rollout {
        view.rollout = Some(app.store.find(rollout.as_str()).await?);
        view.assignment = Some(app.store.find(&assignment_name(rollout, &device.id)).await?);
    }
    if let OrderKind::Release { .. } = &open.order.kind {
        view.known = leave::known(app, &device, report).await?;
    }
    if let OrderKind::Collect { bundle, .. } = &open.order.kind {
        view.bundle = Some(app.store.find(bundle.as_str()).await?);
    }
    Ok(view)
}
