//! An incident as responders see it.

use lazaret_protocol::operator::IncidentView;
use lazaret_protocol::time::Timestamp;

use super::Incident;
use super::clock::Clock;

impl Incident {
    /// As responders see it.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> IncidentView {
        let clocks = Clock::ALL.into_iter();
        IncidentView {
            id: self.id.clone(),
            title: self.title.clone(),
            severity: self.severity,
            state: self.state(),
            commander: self.commander.clone(),
            filter: self.filter.clone(),
            devices: self.devices,
            members: self.members,
            obligation: self.obligation,
            began: self.began,
            aware: self.aware,
            corrective: self.corrective,
            moments: self.moments.clone(),
            clocks: clocks.filter_map(|clock| clock.view(self, now)).collect(),
            playbook: self.playbook.clone(),
            steps: self.steps.iter().map(|step| step.view(self.declared(), now)).collect(),
            rollouts: self.rollouts.clone(),
            quarantines: self.quarantines.clone(),
            notes: self.notes,
        }
    }
}
