//! Conditions, times and Events keep one contract.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::*;
use crate::api::Reason;

fn conditions(stage: &Stage) -> Vec<Condition> {
    stage.recorded.conditions.clone()
}

/// One stage for each thing that can be said, with what is said.
fn everything() -> Vec<(Stage, &'static str)> {
    let with = |mut stage: Stage, change: fn(&mut Stage)| {
        change(&mut stage);
        stage
    };
    let stages = vec![
        (Stage::connected(), "Connected True/Connected"),
        (Stage::awaiting_scan(), "AwaitingScan False/AwaitingScan Reconciling"),
        (with(Stage::new(), |s| s.lists(vec![named("a", true)])), "Stalled False/NameConflict Stalled"),
        (with(Stage::connected(), |s| s.shows(Liveness::Banned)), "Stalled False/Banned Stalled"),
        (
            with(Stage::connected(), |s| s.desired.desired_state = DesiredState::Disconnected),
            "Disconnected True/Disconnected",
        ),
        (with(Stage::connected(), |s| s.desired.suspend = true), "Suspended True/Connected Suspended"),
        (
            with(Stage::connected(), |s| s.desired.invalid = Some("no".to_owned())),
            "Stalled False/InvalidRequest Stalled",
        ),
        (
            with(Stage::connected().deleted(), |s| s.observed.account = AccountSight::NotFound),
            "Deleting False/Deleting Reconciling",
        ),
        (
            with(Stage::connected(), |s| s.observed.account = AccountSight::NotFound),
            "Pending False/AccountNotReady Reconciling",
        ),
    ];
    stages.into_iter().collect()
}

#[test]
fn what_is_settled_is_said_once() {
    for (mut stage, stands) in everything() {
        stage.run();
        assert_eq!(stage.said(), stands);
        stage.writes.clear();
        stage.pass(Duration::from_millis(1200));
        let plan = stage.run();
        assert_eq!((stage.writes.len(), plan.notices.len()), (0, 0), "{stands}");
    }
}

#[test]
fn every_condition_speaks_of_the_generation_that_was_seen() {
    for (mut stage, stands) in everything() {
        stage.desired.generation += 41;
        stage.run();
        let generation = Some(stage.desired.generation);
        assert_eq!(stage.recorded.observed_generation, generation, "{stands}");
        assert!(stage.recorded.conditions.iter().all(|c| c.observed_generation == generation), "{stands}");
    }
}

#[test]
fn a_transition_time_moves_only_with_its_status() {
    let mut stage = Stage::connected();
    let before = conditions(&stage);
    stage.pass(secs(60));
    stage.shows(Liveness::Disconnected);
    stage.desired.generation += 1;
    stage.run();
    let offline = stage.now.time();
    for after in conditions(&stage) {
        let was = before.iter().find(|c| c.type_ == after.type_);
        let moved = was.is_none_or(|was| was.status != after.status);
        let expected = was.filter(|_| !moved).map_or(&offline, |was| &was.last_transition_time);
        assert_eq!(&after.last_transition_time, expected, "{}", after.type_);
    }
    stage.pass(secs(60));
    stage.shows(Liveness::LoggedOut);
    stage.run();
    let ready = conditions(&stage).into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!((ready.reason.as_str(), ready.last_transition_time), ("LoggedOut", offline));
}

#[test]
fn connection_times_are_kept_on_transitions() {
    let mut stage = Stage::connected();
    let first = stage.recorded.first_connected_time.clone();
    assert_eq!((first.is_some(), &first), (true, &stage.recorded.last_connected_time));
    stage.shows(Liveness::Disconnected);
    stage.run();
    let lost = stage.recorded.last_disconnect.clone().unwrap();
    assert_eq!((lost.time, lost.reason.as_str()), (stage.now.time(), "Connecting"));
    stage.pass(secs(40));
    stage.shows(Liveness::Connected);
    stage.run();
    assert_eq!(stage.recorded.last_connected_time, Some(stage.now.time()));
    assert_eq!(stage.recorded.first_connected_time, first);
}

#[test]
fn events_are_sent_on_transitions_and_only_for_what_is_news() {
    let told = |stage: &mut Stage| {
        let notices = stage.run().notices;
        notices.into_iter().map(|n| (n.warning, n.reason)).collect::<Vec<_>>()
    };
    let mut stage = Stage::connected();
    assert_eq!(told(&mut stage), []);
    stage.shows(Liveness::Disconnected);
    assert_eq!(told(&mut stage), [(false, Reason::Connecting)]);
    stage.sight().paused = Some(secs(5));
    stage.pass(secs(31));
    assert_eq!(told(&mut stage), [], "a pause is the account's to tell");
    stage.sight().paused = None;
    stage.shows(Liveness::LoggedOut);
    assert_eq!(told(&mut stage), [(true, Reason::LoggedOut)]);
    assert_eq!(told(&mut stage), []);
    stage.desired.suspend = true;
    assert_eq!(told(&mut stage), [(false, Reason::Suspended)]);
    assert_eq!(told(&mut stage), []);
    stage.desired.suspend = false;
    assert_eq!(told(&mut stage), [(false, Reason::Resumed)]);
    stage.shows(Liveness::Connected);
    assert_eq!(told(&mut stage), [(false, Reason::Connected)]);
}

#[test]
fn adoption_is_told_with_the_id_write() {
    let mut stage = Stage::new();
    stage.lists(vec![named("s1", false)]);
    let plan = stage.decide();
    assert_eq!(
        (plan.notices[0].reason, plan.notices[0].note.as_str()),
        (Reason::Adopted, "adopted the existing remote session s1")
    );
    assert_eq!(condition(plan.status.as_ref().unwrap(), "Provisioned"), Some(("True", "Adopted")));
}

#[test]
fn who_must_act_is_given_the_command() {
    let with = |mut stage: Stage, change: fn(&mut Stage)| {
        change(&mut stage);
        stage
    };
    let stages = vec![
        with(Stage::connected(), |s| s.shows(Liveness::LoggedOut)),
        with(Stage::connected(), |s| s.shows(Liveness::Banned)),
        with(Stage::connected(), |s| s.shows(Liveness::Replaced)),
        with(Stage::provisioned(), |s| s.pass(Duration::from_hours(1))),
        with(Stage::provisioned(), |s| s.memory.secret = SecretSight::Foreign),
        with(Stage::new(), |s| s.lists(vec![named("a", true)])),
        with(Stage::new(), |s| s.lists(vec![named("a", false), named("b", false)])),
        with(Stage::new(), |s| s.observed.rival = Some(String::new())),
        with(Stage::new(), |s| s.observed.full_name = "x".repeat(101)),
        with(Stage::new(), |s| s.desired.publish_in_status = true),
        with(Stage::new(), |s| s.desired.invalid = Some("nonsense".to_owned())),
        with(Stage::new(), |s| s.desired.session_id = Some(id("s1"))),
        with(Stage::new(), |s| {
            s.desired.session_id = Some(id("s1"));
            s.observed.wanted = Some(remote("s1", Liveness::Connected));
            s.observed.prefix = "rival-".to_owned();
        }),
        with(Stage::connected(), |s| {
            s.shows(Liveness::Disconnected);
            s.fails(Class::Validation);
        }),
        with(Stage::connected(), |s| {
            s.pass(SETTLE);
            s.hides();
            s.denies();
            s.pass(SETTLE);
            s.denies();
        }),
    ];
    for mut stage in stages {
        let plan = stage.run();
        let notice = plan.notices.last().unwrap();
        let (_, command) = notice.note.rsplit_once(": kubectl ").unwrap_or_else(|| panic!("{}", notice.note));
        assert!(notice.warning && command.contains("sales") && command.contains("-n shop"), "{}", notice.note);
    }
}

#[test]
fn an_answered_request_is_recorded_even_where_nothing_else_is_said() {
    let mut stage = Stage::connected();
    stage.observed.account = AccountSight::Starting;
    stage.desired.reconcile_request = Some("now".to_owned());
    stage.run();
    assert_eq!(stage.recorded.last_handled_reconcile_at.as_deref(), Some("now"));
}
