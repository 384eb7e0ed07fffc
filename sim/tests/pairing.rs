//! What sessions do by themselves, without sockets and without a clock.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::time::Duration;

use actiwapi_sim::State;
use actiwapi_sim::state::hands::{HandError, Place};
use actiwapi_sim::state::options::ApiOptions;
use actiwapi_sim::state::session::Status;
use actiwapi_sim::state::tenant::TenantSettings;
use actiwapi_sim::state::{Effect, Reply, Request};
use serde_json::json;

struct World {
    state: State,
    token: String,
    place: Place,
}

impl World {
    fn new(settings: TenantSettings) -> Self {
        let mut state = State::new(1, Duration::from_hours(500_000), ApiOptions::default());
        state.put_tenant("demo", settings).ok();
        let login = json!({"email": "demo@example.com", "password": "demo-password"});
        let reply = state.exchange(&Request::new("POST", "/api/auth/login").json(&login));
        let Reply::Answer(answer) = reply else { return Self::lost(state) };
        let token = answer.value()["data"]["accessToken"].as_str().unwrap_or_default().to_owned();
        let id = state.create_out_of_band("demo", "one").unwrap_or_default();
        Self { state, token, place: Place { tenant: "demo".to_owned(), id } }
    }

    fn lost(state: State) -> Self {
        Self { state, token: String::new(), place: Place { tenant: String::new(), id: String::new() } }
    }

    fn call(&mut self, what: &str) -> u16 {
        let path = format!("/api/v1/whatsapp/{}/{what}", self.place.id);
        match self.state.exchange(&Request::new("POST", &path).bearer(&self.token)) {
            Reply::Answer(answer) => answer.status,
            Reply::Reset | Reply::Pass => 0,
        }
    }

    fn at(&mut self, milliseconds: u64) -> &Status {
        self.state.advance_to(Duration::from_millis(milliseconds));
        self.state.session(&self.place).map_or(&Status::Banned, |session| &session.status)
    }

    fn code_number(&self) -> Option<u32> {
        self.state.current_code(&self.place).map(|code| code.number)
    }
}

#[test]
fn six_codes_in_160_seconds() {
    let mut world = World::new(TenantSettings::default());
    assert_eq!(world.call("connect"), 200);
    assert_eq!(world.code_number(), Some(1));
    let mut seen = Vec::new();
    for second in [59, 60, 79, 80, 100, 120, 140, 159] {
        assert_eq!(world.at(second * 1000), &Status::QrPending);
        seen.push(world.code_number().unwrap());
    }
    assert_eq!(seen, [1, 2, 2, 3, 4, 5, 6, 6]);
    assert_eq!(world.at(160_000), &Status::Disconnected);
    assert_eq!(world.code_number(), None);
    assert_eq!(world.state.next_deadline(), None);
    assert_eq!(world.call("connect"), 200);
    assert_eq!(world.code_number(), Some(1), "a new connect shows new codes");
}

#[test]
fn a_leap_of_the_clock_misses_nothing() {
    let mut world = World::new(TenantSettings::default());
    world.call("connect");
    world.state.take_effects();
    world.at(10_000_000);
    let events: Vec<&str> = world
        .state
        .take_effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Emit { event, .. } => Some(event.name),
            _ => None,
        })
        .collect();
    assert_eq!(events, ["qr", "qr", "qr", "qr", "qr", "session.status"]);
}

#[test]
fn what_was_paired_reconnects_without_a_code() {
    let mut world = World::new(TenantSettings::default());
    world.call("connect");
    let place = world.place.clone();
    assert_eq!(world.state.scan(&place, Some("4915112345678")).unwrap(), "4915112345678");
    assert_eq!(world.at(1_000), &Status::Connected);
    assert_eq!(world.call("disconnect"), 200);
    assert_eq!(world.call("connect"), 200);
    assert_eq!(world.at(1_999), &Status::Connecting);
    assert_eq!(world.call("connect"), 409);
    assert_eq!(world.code_number(), None);
    assert_eq!(world.at(2_000), &Status::Connected);

    world.state.log_out(&place);
    assert_eq!(world.at(3_000), &Status::LoggedOut);
    world.call("connect");
    assert_eq!(world.code_number(), Some(1), "logged out: a code is needed again");
}

#[test]
fn a_scan_may_be_followed_by_a_restart() {
    let mut world = World::new(TenantSettings { restart_after_scan: true, ..TenantSettings::default() });
    world.call("connect");
    let place = world.place.clone();
    world.state.scan(&place, None).unwrap();
    assert_eq!(world.at(999), &Status::Connected);
    assert_eq!(world.at(1_000), &Status::Disconnected);
    assert_eq!(world.at(3_999), &Status::Disconnected);
    assert_eq!(world.at(4_000), &Status::Connected);
    assert_eq!(world.state.next_deadline(), None);
}

#[test]
fn a_banned_number_stays_banned() {
    let mut world = World::new(TenantSettings::default());
    world.call("connect");
    let place = world.place.clone();
    world.state.scan(&place, None).unwrap();
    world.state.ban(&place);
    assert_eq!(world.at(0), &Status::Banned);
    assert_eq!(world.call("connect"), 200);
    assert_eq!(world.at(500), &Status::Connecting);
    assert_eq!(world.at(1_000), &Status::Banned);
}

#[test]
fn scans_need_the_code_that_is_shown() {
    let mut world = World::new(TenantSettings::default());
    let place = world.place.clone();
    assert_eq!(world.state.scan(&place, None), Err(HandError::ShowsNoCode));
    world.call("connect");
    let code = world.state.current_code(&place).unwrap().code;
    world.at(60_000);
    assert_eq!(world.state.scan_code(&code, None), Err(HandError::StaleCode));
    let code = world.state.current_code(&place).unwrap().code;
    assert_eq!(world.state.scan_code(&code, None), Ok(place));
    assert_eq!(world.at(60_000), &Status::Connected);
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = || {
        let mut world = World::new(TenantSettings::default());
        world.call("connect");
        world.at(90_000);
        (world.token, world.place, world.state.take_effects())
    };
    assert!(story() == story());
}

#[test]
fn tokens_expire_by_the_told_time() {
    let lifetime = Duration::from_mins(15);
    let mut world = World::new(TenantSettings { token_lifetime: lifetime, ..TenantSettings::default() });
    world.at(899_999);
    assert_eq!(world.call("connect"), 200);
    world.at(900_000);
    assert_eq!(world.call("connect"), 401);
}
