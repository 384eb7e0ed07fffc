//! A session whose id is recorded is kept as declared.

use super::*;
use crate::decide::SLOW;

type Change = Box<dyn Fn(&mut Stage)>;

const ALL_WELL: &str = "Connected True/Connected";

/// The condition table's rows about the account.
#[test]
fn an_account_in_trouble_is_waited_for_or_told_to_a_person() {
    let why = || "the Secret is gone".to_owned();
    let health = |health: Health, swept: bool| {
        move |stage: &mut Stage| {
            stage.sight().health = health.clone();
            if !swept {
                stage.sight().swept = None;
                stage.sight().mine = None;
            }
        }
    };
    let account = |account: AccountSight| move |stage: &mut Stage| stage.observed.account = account.clone();
    let pending = "Pending False/AccountNotReady Reconciling";
    let stalled = "Stalled False/AccountNotReady Stalled";
    let retrying = || Health::Retrying(why());
    let rows: Vec<(&str, Change, &str, &str)> = vec![
        ("not found", Box::new(account(AccountSight::NotFound)), pending, pending),
        ("starting", Box::new(account(AccountSight::Starting)), "-", ALL_WELL),
        ("not ready", Box::new(account(AccountSight::NotReady(why()))), pending, ALL_WELL),
        ("stalled", Box::new(account(AccountSight::Stalled(why()))), stalled, stalled),
        (
            "refused",
            Box::new(health(Health::Stalled(crate::api::Reason::CredentialsInvalid, why()), true)),
            stalled,
            stalled,
        ),
        ("never listed", Box::new(health(retrying(), false)), pending, ALL_WELL),
        ("coming up", Box::new(health(Health::Starting, false)), "-", ALL_WELL),
        ("failing for a while", Box::new(health(retrying(), true)), "Creating False/Creating Reconciling", ALL_WELL),
    ];
    for (what, change, fresh, settled) in rows {
        for (mut stage, expected) in [(Stage::new(), fresh), (Stage::connected(), settled)] {
            change(&mut stage);
            let plan = stage.decide();
            assert_eq!(says(&plan), expected, "{what}");
            assert!(!plan.action.as_ref().is_some_and(Action::is_remote), "{what}");
            assert!(
                plan.notices.iter().all(|n| n.reason != crate::api::Reason::AccountNotReady),
                "told on the account"
            );
        }
    }
}

#[test]
fn an_outage_changes_nothing_about_who_waits_for_a_person_either() {
    let mut stage = Stage::connected();
    stage.shows(Liveness::LoggedOut);
    stage.run();
    let before = stage.recorded.clone();
    stage.observed.account = AccountSight::NotReady("the provider is down".to_owned());
    stage.run();
    assert_eq!(stage.recorded, before);
    stage.desired.generation += 1;
    stage.run();
    assert_eq!(stage.said(), "Pending False/AccountNotReady Reconciling", "of a new spec nothing is known");
}

#[test]
fn a_stalled_account_that_recovers_is_waited_for() {
    let mut stage = Stage::connected();
    stage.observed.account = AccountSight::Stalled("wrong password".to_owned());
    stage.run();
    stage.observed.account = AccountSight::NotReady("new password".to_owned());
    stage.run();
    assert_eq!(stage.said(), "Pending False/AccountNotReady Reconciling");
}

/// Desired `Connected`, once paired: what each word of the provider's leads to.
#[test]
fn a_paired_session_is_reconnected_unless_only_a_person_can_help() {
    let connecting = "Connecting False/Connecting Reconciling";
    for (liveness, action, stands) in [
        (Liveness::Connected, None, ALL_WELL),
        (Liveness::Connecting, None, connecting),
        (Liveness::Disconnected, Some(connect()), connecting),
        (Liveness::Failed, Some(connect()), connecting),
        (Liveness::Other("napping".to_owned()), Some(connect()), connecting),
        (Liveness::QrPending, None, "Stalled False/LoggedOut Stalled"),
        (Liveness::LoggedOut, None, "Stalled False/LoggedOut Stalled"),
        (Liveness::Banned, None, "Stalled False/Banned Stalled"),
        (Liveness::Replaced, None, "Stalled False/Replaced Stalled"),
    ] {
        let mut stage = Stage::connected();
        // Nothing of its connects is remembered, and it was just met: a process after a restart.
        stage.memory = Memory { id_since: Some(stage.now.mono), secret: SecretSight::Absent, ..Memory::new(stage.now) };
        stage.shows(liveness.clone());
        let plan = stage.decide();
        assert_eq!((plan.action.clone(), says(&plan).as_str()), (action, stands), "{liveness:?}");
        let status = plan.status.unwrap();
        let online = liveness == Liveness::Connected;
        assert_eq!(condition(&status, "Connected").unwrap().0 == "True", online, "{liveness:?}");
        assert_eq!(status.last_disconnect.is_some(), !online, "{liveness:?}");
        assert_eq!(condition(&status, "Provisioned"), Some(("True", "Adopted")));
    }
}

#[test]
fn who_loses_a_claim_does_nothing_remote() {
    for liveness in [Liveness::Connected, Liveness::Disconnected, Liveness::QrPending] {
        let mut stage = Stage::connected();
        stage.observed.outclaimed = true;
        stage.desired.pair_request = Some("now".to_owned());
        stage.shows(liveness);
        let plan = stage.run();
        assert_eq!((plan.action, plan.again), (None, Some(SLOW)));
        assert_eq!(stage.said(), "Stalled False/SessionClaimed Stalled");
    }
}

#[test]
fn a_settled_session_costs_nothing() {
    let mut stage = Stage::connected();
    for _ in 0..3 {
        stage.pass(Duration::from_mins(5));
        stage.shows(Liveness::Connected);
        let plan = stage.run();
        assert!(plan.settled() && plan.notices.is_empty() && stage.writes.is_empty());
    }
}

#[test]
fn desired_disconnected_is_kept_offline_and_ready() {
    for (liveness, action, stands) in [
        (Liveness::Connected, Some(disconnect("s1", false)), "Connected False/Disconnecting Reconciling"),
        (Liveness::Connecting, Some(disconnect("s1", false)), "Connecting False/Disconnecting Reconciling"),
        (Liveness::QrPending, Some(disconnect("s1", false)), "Connecting False/Disconnecting Reconciling"),
        (Liveness::Disconnected, None, "Disconnected True/Disconnected"),
        (Liveness::Failed, None, "Disconnected True/Disconnected"),
        (Liveness::LoggedOut, None, "Disconnected True/Disconnected"),
        (Liveness::Banned, None, "Disconnected True/Disconnected"),
        (Liveness::Replaced, None, "Disconnected True/Disconnected"),
    ] {
        let mut stage = Stage::connected();
        stage.desired.desired_state = DesiredState::Disconnected;
        stage.desired.generation += 1;
        stage.shows(liveness.clone());
        let plan = stage.decide();
        assert_eq!((plan.action.clone(), says(&plan).as_str()), (action, stands), "{liveness:?}");
    }
    let mut stage = Stage::connected();
    stage.desired.desired_state = DesiredState::Disconnected;
    assert!(stage.run().settled());
    assert_eq!(stage.said(), "Disconnected True/Disconnected");
}

#[test]
fn a_connect_gets_time_to_show_which_doubles() {
    let mut stage = Stage::connected();
    stage.shows(Liveness::Disconnected);
    for patience in [30, 60, 120, 240, 480, 600, 600] {
        let plan = stage.run();
        assert_eq!((plan.action, plan.again), (None, Some(secs(patience))));
        stage.pass(secs(patience - 1));
        stage.shows(Liveness::Disconnected);
        assert_eq!(stage.run().again, Some(secs(1)), "no watch event cuts it short");
        stage.pass(secs(1));
    }
    stage.shows(Liveness::Connected);
    stage.run();
    assert_eq!(stage.said(), ALL_WELL);
}

#[test]
fn who_wants_it_online_again_waits_for_no_connect_that_was_taken_back() {
    let mut stage = Stage::connected();
    stage.shows(Liveness::Disconnected);
    assert_eq!(stage.run().again, Some(secs(30)), "a connect is under way");
    stage.pass(secs(3));
    stage.shows(Liveness::Connected);
    stage.desired.desired_state = DesiredState::Disconnected;
    stage.desired.generation += 1;
    stage.run();
    assert_eq!(stage.said(), "Disconnected True/Disconnected");
    stage.desired.desired_state = DesiredState::Connected;
    stage.desired.generation += 1;
    stage.meet();
    assert_eq!(stage.decide().action, Some(connect()));
}

#[test]
fn a_restart_right_after_a_scan_is_no_news() {
    let mut stage = Stage::awaiting_scan();
    stage.pass(secs(5));
    stage.shows(Liveness::Connected);
    stage.run();
    assert_eq!(stage.said(), ALL_WELL);
    stage.writes.clear();
    stage.pass(secs(3));
    stage.shows(Liveness::Connecting);
    let plan = stage.run();
    assert_eq!((plan.action.clone(), plan.again, plan.settled()), (None, Some(secs(17)), false));
    stage.shows(Liveness::Disconnected);
    assert_eq!(stage.run().action, None);
    assert!(stage.writes.is_empty(), "Ready stays True");
    stage.pass(secs(17));
    stage.run();
    assert_eq!(stage.said(), "Connecting False/Connecting Reconciling");
}

#[test]
fn somebody_elses_connect_gets_the_same_time() {
    let mut stage = Stage::connected();
    stage.memory = Memory { secret: SecretSight::Absent, ..Memory::new(stage.now) };
    stage.shows(Liveness::Connecting);
    assert_eq!(stage.run().again, Some(secs(30)));
    stage.pass(secs(30));
    stage.shows(Liveness::Connecting);
    assert_eq!(stage.decide().action, Some(connect()));
}

/// Every class of a failed connect: what is said, and when it is tried again.
#[test]
fn every_failure_of_a_call_is_told_and_tried_again_in_its_time() {
    let five = Some(secs(5));
    for (class, stands, again) in [
        (Class::Validation, "Stalled False/InvalidRequest Stalled", None),
        (Class::Forbidden, "Stalled False/PermissionDenied Stalled", Some(SLOW)),
        (Class::SessionLimit, "Stalled False/QuotaExceeded Stalled", Some(SLOW)),
        (Class::Internal, "Connecting False/Retrying Reconciling", five),
        (Class::Unavailable, "Connecting False/Retrying Reconciling", five),
        (Class::Upstream, "Connecting False/Retrying Reconciling", five),
        (Class::Lost, "Connecting False/Retrying Reconciling", five),
        (Class::NotSent, "Connecting False/Retrying Reconciling", five),
        (Class::Garbled, "Connecting False/Retrying Reconciling", five),
        (Class::Unexpected, "Connecting False/Retrying Reconciling", five),
    ] {
        let mut stage = Stage::connected();
        stage.shows(Liveness::Disconnected);
        assert_eq!(stage.decide().action, Some(connect()));
        stage.fails(class);
        let plan = stage.run();
        assert_eq!((plan.action.clone(), stage.said().as_str(), plan.again), (None, stands, again), "{class:?}");
        assert!(plan.notices.last().is_some_and(|n| n.warning), "{class:?}");
        let Some(again) = again else { continue };
        stage.pass(again);
        let plan = stage.decide();
        assert_eq!(
            (plan.action.clone(), says(&plan).as_str()),
            (Some(connect()), stands),
            "it stands until it went through"
        );
        assert!(plan.notices.is_empty(), "{class:?}");
    }
}

#[test]
fn after_a_conflict_the_state_is_read_again_at_once_but_not_for_ever() {
    let mut stage = Stage::connected();
    stage.shows(Liveness::Disconnected);
    stage.fails(Class::Conflict);
    assert_eq!(stage.decide().action, Some(look()));
    let plan = stage.run();
    assert_eq!((plan.action, plan.again), (None, Some(secs(5))), "the call itself waits");
    stage.pass(secs(5));
    assert_eq!(stage.decide().action, Some(connect()));
    stage.fails(Class::Conflict);
    assert_eq!((stage.decide().action, stage.decide().again), (None, Some(secs(10))));
}

#[test]
fn a_404_is_suspicion_and_two_a_settle_time_apart_are_missing() {
    let mut stage = Stage::connected();
    stage.shows(Liveness::Disconnected);
    let before = stage.recorded.clone();
    stage.fails(Class::NotFound);
    assert_eq!(stage.decide().action, Some(look()));
    stage.denies();
    let plan = stage.run();
    assert_eq!((plan.action, plan.again), (None, Some(SETTLE)));
    assert_eq!(stage.recorded, before, "nothing is said on suspicion");
    stage.pass(SETTLE);
    assert_eq!(stage.decide().action, Some(look()));
    stage.denies();
    let plan = stage.run();
    assert_eq!((plan.action, stage.said().as_str()), (None, "Missing False/Missing Stalled"));
    assert!(plan.sweep_after.is_some(), "the list tells when it comes back");
    stage.pass(secs(60));
    stage.shows(Liveness::Connected);
    stage.run();
    assert_eq!(stage.said(), ALL_WELL);
}

#[test]
fn absence_from_a_list_alone_says_nothing() {
    let mut stage = Stage::connected();
    stage.hides();
    let plan = stage.decide();
    assert_eq!((plan.action.clone(), plan.status.as_ref()), (Some(look()), Some(&stage.recorded)));
    stage.denies();
    assert_eq!(stage.run().again, Some(SETTLE));
    stage.pass(SETTLE);
    stage.hides();
    stage.shows(Liveness::Connected);
    assert!(stage.run().settled());
    assert!(stage.writes.is_empty());
}

#[test]
fn an_id_is_not_suspected_within_a_settle_time_of_its_record() {
    let mut stage = Stage::provisioned();
    stage.pass(secs(5));
    stage.hides();
    let plan = stage.decide();
    assert_eq!((plan.action, plan.again), (None, Some(secs(10))));
    assert_eq!(plan.sweep_after, Some(stage.now.mono + secs(10)));
}

#[test]
fn a_process_that_has_no_list_yet_is_woken_by_the_first() {
    let mut stage = Stage::connected();
    stage.memory = Memory::new(stage.now);
    stage.sight().swept = None;
    stage.sight().mine = None;
    let plan = stage.run();
    assert_eq!((plan.action, plan.sweep_after), (None, Some(stage.now.mono - secs(5))));
    assert!(stage.writes.is_empty());
}

#[test]
fn a_pause_of_the_account_leaves_settled_sessions_as_they_are() {
    let mut stage = Stage::connected();
    stage.sight().paused = Some(Duration::from_mins(30));
    assert!(stage.run().settled());
    // Also when there is something to look into.
    stage.memory.doubt = true;
    let plan = stage.run();
    assert_eq!((plan.action, plan.again), (None, Some(Duration::from_mins(30))));
    assert!(stage.writes.is_empty());
    stage.memory.doubt = false;
    stage.shows(Liveness::Disconnected);
    stage.run();
    assert_eq!(stage.said(), "Connecting False/Throttled Reconciling", "an own action that waits is told");
}

#[test]
fn a_persons_request_is_answered_once_by_a_fresh_look() {
    let mut stage = Stage::connected();
    stage.fails(Class::Internal);
    stage.pass(secs(1));
    stage.desired.reconcile_request = Some("now".to_owned());
    stage.meet();
    assert_eq!(stage.memory.retry, None, "it forgets the backoff");
    assert_eq!(stage.decide().action, Some(look()));
    // It fails: the backoff that follows is not forgotten again, although the request is not answered yet.
    stage.fails(Class::Internal);
    let plan = stage.run();
    assert_eq!((plan.action, plan.again), (None, Some(secs(5))));
    assert_eq!(stage.recorded.last_handled_reconcile_at.as_deref(), Some("now"));
    stage.pass(secs(5));
    let plan = stage.run();
    assert!(plan.settled() && stage.writes == ["status"]);
    stage.desired.reconcile_request = None;
    assert!(stage.run().settled(), "removal does nothing");
}

#[test]
fn suspension_hides_the_code_and_keeps_the_last_truth() {
    let truth = |stage: &Stage| {
        let ready = stage.recorded.conditions.iter().find(|c| c.type_ == "Ready").cloned();
        ready.map(|c| (c.status, c.reason, c.message, c.last_transition_time))
    };
    for (mut stage, stands) in [
        (Stage::connected(), "Suspended True/Connected Suspended"),
        (Stage::awaiting_scan(), "Suspended False/AwaitingScan Suspended"),
        (Stage::new(), "Suspended Suspended"),
    ] {
        let before = truth(&stage);
        let codes = stage.memory.secret == SecretSight::Ours;
        stage.desired.suspend = true;
        stage.desired.generation += 1;
        assert_eq!(stage.decide().action, codes.then_some(Action::DeleteQr));
        let plan = stage.run();
        assert_eq!((plan.settled(), stage.said().as_str()), (true, stands));
        assert_eq!(stage.recorded.observed_generation, Some(2));
        assert_eq!(truth(&stage), before);
        // Whatever happens meanwhile.
        stage.shows(Liveness::Disconnected);
        stage.desired.invalid = Some("nonsense".to_owned());
        stage.writes.clear();
        assert!(stage.run().settled() && stage.writes.is_empty());
    }
}

#[test]
fn a_loss_of_the_phone_outlives_a_suspension() {
    let mut stage = Stage::connected();
    stage.shows(Liveness::LoggedOut);
    stage.run();
    stage.desired.suspend = true;
    stage.run();
    stage.desired.suspend = false;
    stage.shows(Liveness::Disconnected);
    let plan = stage.run();
    assert_eq!((plan.action, stage.said().as_str()), (None, "Stalled False/LoggedOut Stalled"));
}

#[test]
fn a_finalizer_that_somebody_took_away_is_put_back() {
    let mut stage = Stage::connected();
    stage.desired.finalizer = false;
    assert_eq!(stage.decide().action, Some(Action::AddFinalizer));
    stage.desired.suspend = true;
    assert_eq!(stage.decide().action, Some(Action::AddFinalizer));
}
