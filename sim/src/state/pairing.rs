//! What sessions do by themselves: showing one code after another, reconnecting, restarting after a scan.

use std::time::Duration;

use super::session::{Alarm, Session, ShownCode, Status};
use super::tenant::Tenant;
use super::{Effect, State, codes, events};

impl State {
    /// Begins what `connect` promises: codes, or a reconnect with credentials.
    pub(super) fn begin_connect(&mut self, tenant: &str, id: &str) {
        let now = self.now;
        let Some((settings, session)) = self.slot(tenant, id) else { return };
        if session.has_credentials {
            session.status = Status::Connecting;
            session.alarm = Some((now + settings.timings.reconnect_delay, Alarm::ReconnectEnds));
            self.tell_status(tenant, id);
            return;
        }
        session.shown = None;
        session.status = Status::QrPending;
        self.tell_status(tenant, id);
        self.show_next_code(tenant, id, now);
    }

    /// Ends whatever the session was doing, in the given state.
    pub(super) fn settle(&mut self, tenant: &str, id: &str, status: Status) {
        let Some((_, session)) = self.slot(tenant, id) else { return };
        session.shown = None;
        session.alarm = None;
        session.status = status;
        self.tell_status(tenant, id);
    }

    /// A phone has scanned the shown code.
    pub(super) fn complete_pairing(&mut self, tenant: &str, id: &str, phone_number: &str) {
        let now = self.now;
        let Some((settings, session)) = self.slot(tenant, id) else { return };
        session.has_credentials = true;
        session.banned = false;
        session.phone_number = Some(phone_number.to_owned());
        session.shown = None;
        session.status = Status::Connected;
        session.alarm =
            settings.restart_after_scan.then(|| (now + settings.timings.restart_after, Alarm::RestartBegins));
        self.tell_status(tenant, id);
    }

    /// The earliest moment at which something happens by itself.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.next_alarm().map(|(at, _, _)| at)
    }

    fn next_alarm(&self) -> Option<(Duration, &Tenant, &Session)> {
        self.tenants
            .values()
            .flat_map(|tenant| tenant.sessions.iter().map(move |session| (tenant, session)))
            .filter_map(|(tenant, session)| session.alarm.map(|(at, _)| (at, tenant, session)))
            .min_by_key(|(at, _, _)| *at)
    }

    /// Lets the time pass: everything due until then happens, in order.
    pub fn advance_to(&mut self, now: Duration) {
        while let Some((at, tenant, session)) = self.next_alarm().filter(|(at, _, _)| *at <= now) {
            let (tenant, id) = (tenant.name.clone(), session.id.clone());
            self.now = self.now.max(at);
            self.ring(&tenant, &id);
        }
        self.now = self.now.max(now);
    }

    fn ring(&mut self, tenant: &str, id: &str) {
        let Some((settings, session)) = self.slot(tenant, id) else { return };
        let Some((at, alarm)) = session.alarm.take() else { return };
        let shown = session.shown.as_ref().map_or(0, |shown| shown.number);
        match alarm {
            Alarm::CodeExpires if shown < settings.timings.qr_count => self.show_next_code(tenant, id, at),
            Alarm::CodeExpires => {
                self.note(tenant, id, "nobody scanned, the codes are used up");
                self.settle(tenant, id, Status::Disconnected);
            }
            Alarm::ReconnectEnds if session.banned => self.settle(tenant, id, Status::Banned),
            Alarm::ReconnectEnds | Alarm::RestartEnds => self.settle(tenant, id, Status::Connected),
            Alarm::RestartBegins => {
                let ends = at + settings.timings.restart_for;
                session.alarm = Some((ends, Alarm::RestartEnds));
                session.status = Status::Disconnected;
                self.tell_status(tenant, id);
            }
        }
    }

    fn show_next_code(&mut self, tenant: &str, id: &str, from: Duration) {
        let Some(settings) = self.tenants.get(tenant).map(|tenant| tenant.settings.clone()) else { return };
        let code = codes::random_code(&mut self.rng, settings.qr_format);
        let Some((_, session)) = self.slot(tenant, id) else { return };
        let number = session.shown.as_ref().map_or(0, |shown| shown.number) + 1;
        let life = if number == 1 { settings.timings.qr_first } else { settings.timings.qr_next };
        let expires_at = from + life;
        session.shown = Some(ShownCode { code, number, expires_at });
        session.alarm = Some((expires_at, Alarm::CodeExpires));
        let of = settings.timings.qr_count;
        self.note(tenant, id, &format!("shows code {number} of {of} for {}", humantime::format_duration(life)));
        self.tell_code(tenant, id);
    }

    /// Sends the current code again.
    pub(super) fn tell_code(&mut self, tenant: &str, id: &str) {
        let Some((settings, session)) = self.slot(tenant, id) else { return };
        if settings.mute_qr {
            return;
        }
        let event = events::code(settings.dialect, session);
        self.effects.extend(event.map(|event| Effect::Emit { tenant: tenant.to_owned(), event }));
    }

    pub(super) fn tell_status(&mut self, tenant: &str, id: &str) {
        let Some((settings, session)) = self.slot(tenant, id) else { return };
        let word = format!("is {}", session.status.as_str());
        let event = (!settings.mute_status).then(|| events::status(settings.dialect, session));
        self.effects.extend(event.map(|event| Effect::Emit { tenant: tenant.to_owned(), event }));
        self.note(tenant, id, &word);
    }
}
