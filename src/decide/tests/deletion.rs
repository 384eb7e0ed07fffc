//! Letting go needs only what it needs, and always ends.

use super::*;
use crate::api::Reason;

const GONE: Option<Action> = Some(Action::RemoveFinalizer);

fn gave_up(plan: &Plan) -> bool {
    plan.action == GONE && plan.notices.iter().any(|n| n.warning && n.reason == Reason::DeletionGaveUp)
}

#[test]
fn the_remote_session_is_disconnected_before_the_object_goes() {
    for liveness in [Liveness::Connected, Liveness::Connecting, Liveness::Disconnected, Liveness::LoggedOut] {
        let mut stage = Stage::connected();
        stage.shows(liveness.clone());
        let mut stage = stage.deleted();
        assert_eq!(stage.decide().action, Some(disconnect("s1", true)), "{liveness:?}");
        assert_eq!(says(&stage.decide()), "Deleting False/Deleting Reconciling");
        let plan = stage.run();
        assert_eq!((plan.action, plan.notices.iter().any(|n| n.warning)), (GONE, false));
        assert_eq!(stage.decide().action, None, "without our finalizer nothing is ours to do");
    }
}

#[test]
fn the_secret_goes_first() {
    let mut stage = Stage::awaiting_scan().deleted();
    assert_eq!(stage.decide().action, Some(Action::DeleteQr));
    stage.memory.secret = SecretSight::Absent;
    assert_eq!(stage.decide().action, Some(disconnect("s1", true)));
}

#[test]
fn a_secret_that_cannot_be_deleted_does_not_hold_the_object_past_its_deadline() {
    let mut stage = Stage::awaiting_scan().deleted();
    stage.pass(Duration::from_mins(10));
    assert_eq!(stage.decide().action, Some(disconnect("s1", true)));
}

#[test]
fn orphan_lets_go_at_once_and_touches_nothing() {
    let open_create = {
        let mut stage = Stage::new();
        stage.intends(1, "a process before this");
        stage
    };
    for mut stage in [Stage::connected(), open_create] {
        stage.desired.deletion_policy = DeletionPolicy::Orphan;
        assert_eq!(stage.deleted().decide().action, GONE);
    }
}

#[test]
fn with_nothing_remote_the_object_goes_at_once() {
    let mut refused = Stage::new();
    refused.intends(2, ME);
    refused.create_fails(2, Class::SessionLimit);
    let mut unsent = Stage::new();
    unsent.intends(1, ME);
    for (what, stage) in [("never begun", Stage::new()), ("refused for certain", refused), ("never sent", unsent)] {
        let mut stage = stage.deleted();
        stage.observed.account = AccountSight::NotFound;
        assert_eq!(stage.decide().action, GONE, "{what}");
    }
}

#[test]
fn who_lost_a_claim_touches_nothing_on_its_way_out() {
    let mut stage = Stage::connected();
    stage.observed.outclaimed = true;
    assert_eq!(stage.deleted().decide().action, GONE);
}

#[test]
fn an_open_create_is_resolved_before_the_object_goes() {
    let mut lost = Stage::new();
    lost.intends(1, ME);
    lost.create_fails(1, Class::Lost);
    lost.pass(secs(1));
    lost.lists(vec![]);
    let mut unknown = Stage::new();
    unknown.intends(1, "a process before this");
    for stage in [lost, unknown] {
        let mut stage = stage.deleted();
        let plan = stage.run();
        assert_eq!((plan.action, plan.sweep_after), (None, Some(stage.now.mono + SETTLE)));
        assert_eq!(stage.said(), "Deleting False/Deleting Reconciling");
        stage.pass(SETTLE);
        stage.lists(vec![]);
        assert_eq!(stage.decide().action, GONE, "not made");
        stage.lists(vec![named("made", false)]);
        assert_eq!(stage.decide().action, Some(Action::RecordId { id: id("made"), adopted: false }), "made");
        stage.lists(vec![named("another-s", true)]);
        assert_eq!(stage.decide().action, GONE, "another object's is not touched");
    }
    let mut sending = Stage::new();
    sending.intends(1, ME);
    sending.memory.sent_attempt = Some(1);
    let mut sending = sending.deleted();
    sending.pass(SETTLE);
    sending.lists(vec![]);
    let plan = sending.run();
    assert_eq!((plan.action, plan.again), (None, Some(SETTLE)), "a POST on its way is waited for");
}

#[test]
fn deletion_works_while_suspended_and_with_an_invalid_spec() {
    let mut stage = Stage::connected();
    stage.desired.suspend = true;
    stage.desired.invalid = Some("nonsense".to_owned());
    stage.desired.publish_in_status = true;
    stage.observed.account_deleting = true;
    assert_eq!(stage.deleted().decide().action, Some(disconnect("s1", true)));
}

#[test]
fn a_failed_disconnect_is_tried_again_until_the_deadline_and_then_given_up() {
    for class in CLASSES {
        let mut stage = Stage::connected().deleted();
        stage.memory.tried = true;
        stage.fails(class);
        stage.memory.doubt = false;
        let plan = stage.run();
        assert!(plan.again.is_some() || plan.action == GONE, "it never sleeps for ever: {class:?}");
        assert!(plan.again.is_none_or(|again| again <= Duration::from_mins(10)), "{class:?}");
        stage.pass(Duration::from_mins(10));
        let mut stage2 = Stage::connected().deleted();
        stage2.memory.tried = true;
        stage2.fails(class);
        stage2.pass(secs(599));
        assert!(!gave_up(&stage2.decide()), "{class:?}");
        stage2.pass(secs(1));
        let plan = stage2.decide();
        assert!(gave_up(&plan), "{class:?}");
        assert!(plan.notices.iter().any(|n| n.note.contains("remote session s1")), "by name");
    }
}

#[test]
fn the_deadline_gives_up_only_after_a_try() {
    let mut stage = Stage::connected().deleted();
    stage.pass(Duration::from_hours(1));
    assert_eq!(stage.decide().action, Some(disconnect("s1", true)), "this process has not tried yet");
    assert!(stage.decide().status.unwrap().conditions[0].message.contains("past the deletion deadline"));
    stage.sight().paused = Some(secs(90));
    let plan = stage.run();
    assert_eq!((plan.action, plan.again), (None, Some(secs(90))), "a pause is waited for");
    stage.sight().paused = None;
    stage.memory.tried = true;
    assert!(gave_up(&stage.decide()));
}

#[test]
fn a_pause_does_not_outlast_the_deadline_unnoticed() {
    let mut stage = Stage::connected().deleted();
    stage.sight().paused = Some(Duration::from_hours(1));
    assert_eq!(stage.decide().again, Some(Duration::from_mins(10)));
}

#[test]
fn without_a_usable_account_the_deadline_decides_once_the_process_has_had_time_to_find_it() {
    let why = || "its Secret is gone".to_owned();
    let unusable =
        [AccountSight::NotFound, AccountSight::Starting, AccountSight::NotReady(why()), AccountSight::Stalled(why())];
    let refused = {
        let mut stage = Stage::new();
        stage.sight().health = Health::Stalled(Reason::CredentialsInvalid, why());
        stage.observed.account
    };
    for account in unusable.into_iter().chain([refused]) {
        let mut stage = Stage::connected().deleted();
        stage.observed.account = account.clone();
        let plan = stage.run();
        assert_eq!((plan.action, plan.again), (None, Some(Duration::from_mins(10))), "{account:?}");
        assert_eq!(stage.said(), "Deleting False/Deleting Reconciling");
        stage.pass(Duration::from_mins(10));
        assert!(gave_up(&stage.decide()), "{account:?}");
        stage.memory = Memory { secret: SecretSight::Absent, ..Memory::new(stage.now) };
        let plan = stage.decide();
        assert_eq!((plan.action, plan.again), (None, Some(secs(45))), "after a restart: {account:?}");
        stage.pass(secs(45));
        assert!(gave_up(&stage.decide()), "{account:?}");
    }
}

#[test]
fn a_create_that_stays_unresolved_does_not_hold_the_object_for_ever() {
    let unknown = || {
        let mut stage = Stage::new();
        stage.intends(1, "a process before this");
        stage
    };
    let mut ambiguous = unknown();
    ambiguous.lists(vec![named("a", false), named("b", false)]);
    let mut unlisted = unknown();
    unlisted.sight().swept = None;
    for stage in [ambiguous, unlisted] {
        let mut stage = stage.deleted();
        let plan = stage.run();
        assert_eq!((plan.action.clone(), plan.again), (None, Some(Duration::from_mins(10))));
        stage.pass(Duration::from_mins(10));
        assert!(gave_up(&stage.decide()));
    }
}

#[test]
fn a_session_that_is_gone_or_offline_already_is_done() {
    let mut stage = Stage::connected();
    stage.denies();
    stage.pass(secs(1));
    let mut stage = stage.deleted();
    assert_eq!(stage.decide().action, Some(disconnect("s1", true)), "one 404 from before proves nothing");
    stage.memory.tried = true;
    stage.fails(Class::Conflict);
    assert_eq!(stage.decide().action, Some(look()));
    stage.denies();
    assert_eq!(stage.decide().action, GONE);

    let mut stage = Stage::connected();
    stage.shows(Liveness::Disconnected);
    stage.pass(secs(1));
    let mut stage = stage.deleted();
    stage.memory.tried = true;
    assert_eq!(stage.decide().action, Some(disconnect("s1", true)), "a look from before the deletion proves nothing");
    stage.fails(Class::Conflict);
    assert_eq!(stage.decide().action, Some(look()));
    stage.memory.looked();
    stage.shows(Liveness::Disconnected);
    assert_eq!(stage.decide().action, GONE);
}
