//! Codes are shown in a window, in our own Secret, and no longer than needed.

use super::*;
use crate::api::{Reason, session::PairingStatus};

fn pairing(stage: &Stage) -> PairingStatus {
    stage.recorded.pairing.clone().unwrap_or_default()
}

fn published(plan: &Plan) -> Option<&Qr> {
    match &plan.action {
        Some(Action::PublishQr { qr, .. }) => Some(qr),
        _ => None,
    }
}

const WAITS: &str = "Connecting False/Connecting Reconciling";
const SHOWS: &str = "AwaitingScan False/AwaitingScan Reconciling";
const OVER: &str = "Stalled False/PairingRequired Stalled";
const ALL_WELL: &str = "Connected True/Connected";
const LOST: &str = "Stalled False/LoggedOut Stalled";

/// Lost its phone a while ago; nothing is on show.
fn logged_out() -> Stage {
    let mut stage = Stage::connected();
    stage.shows(Liveness::LoggedOut);
    stage.run();
    assert_eq!(stage.said(), LOST);
    stage.writes.clear();
    stage
}

#[test]
fn one_lifecycle_is_five_writes() {
    let mut stage = Stage::new();
    stage.desired.finalizer = false;
    stage.run();
    stage.pass(secs(1));
    stage.offers("code-1", 0);
    stage.run();
    assert_eq!(stage.said(), SHOWS);
    stage.pass(secs(9));
    stage.shows(Liveness::Connected);
    stage.sight().mine.as_mut().unwrap().remote.phone = phone();
    assert!(stage.run().settled());
    assert_eq!(stage.writes, ["finalizer", "intent", "id", "status", "status"]);
    assert_eq!((stage.said().as_str(), stage.recorded.phone_number.as_deref()), (ALL_WELL, Some("491701234567")));
    assert_eq!(stage.recorded.first_connected_time, Some(stage.now.time()));
    assert_eq!(stage.memory.secret, SecretSight::Absent, "the Secret is deleted when the session connects");
    assert_eq!(pairing(&stage), PairingStatus { attempt: Some(1), ..PairingStatus::default() });
}

#[test]
fn auto_opens_the_first_window_with_the_id_write_and_no_other() {
    let mut stage = Stage::provisioned();
    assert_eq!((pairing(&stage).attempt, stage.said().as_str()), (Some(1), WAITS));
    assert_eq!(pairing(&stage).window_ends_at.unwrap().0, stage.now.wall.checked_add(stage.desired.window).unwrap());
    stage.pass(stage.desired.window);
    stage.shows(Liveness::Disconnected);
    let plan = stage.run();
    assert_eq!((plan.action, stage.said().as_str(), pairing(&stage).attempt), (None, OVER, Some(1)));
}

#[test]
fn on_request_waits_for_the_request() {
    let mut stage = Stage::new();
    stage.desired.mode = PairingMode::OnRequest;
    stage.lists(vec![named("s1", false)]);
    let plan = stage.run();
    assert_eq!((plan.action.clone(), stage.said().as_str()), (None, OVER));
    assert_eq!(pairing(&stage), PairingStatus::default());
    stage.desired.pair_request = Some("first".to_owned());
    stage.run();
    let shown = pairing(&stage);
    assert_eq!(
        (stage.said().as_str(), shown.attempt, shown.last_handled_request.as_deref()),
        (WAITS, Some(1), Some("first"))
    );
}

#[test]
fn a_window_is_recorded_before_anything_is_sent() {
    let mut stage = logged_out();
    stage.desired.pair_request = Some("again".to_owned());
    let plan = stage.decide();
    assert_eq!(plan.action, Some(Action::Report));
    stage.write(&plan);
    assert_eq!(stage.decide().action, Some(connect()));
}

#[test]
fn a_request_acts_on_a_change_to_a_new_value_only() {
    let mut stage = logged_out();
    let mut attempts = 1;
    for (request, opens) in
        [(Some("a"), true), (Some("a"), false), (None, false), (Some("a"), false), (Some("b"), true)]
    {
        stage.desired.pair_request = request.map(str::to_owned);
        stage.pass(secs(1));
        stage.shows(Liveness::LoggedOut);
        stage.run();
        attempts += i32::from(opens);
        assert_eq!(pairing(&stage).attempt, Some(attempts), "{request:?}");
        stage.pass(stage.desired.window);
        stage.shows(Liveness::LoggedOut);
        stage.run();
        assert_eq!(stage.said(), LOST);
    }
}

#[test]
fn a_request_while_nothing_is_to_pair_is_answered_by_that() {
    let mut stage = Stage::connected();
    stage.desired.pair_request = Some("needless".to_owned());
    stage.run();
    assert_eq!(pairing(&stage).last_handled_request.as_deref(), Some("needless"));
    stage.shows(Liveness::LoggedOut);
    stage.run();
    assert_eq!(stage.said(), LOST, "it opens nothing later");
}

#[test]
fn a_request_while_the_account_is_in_trouble_is_kept() {
    for account in [AccountSight::NotFound, AccountSight::Stalled("no".to_owned()), AccountSight::Starting] {
        let mut stage = logged_out();
        let running = std::mem::replace(&mut stage.observed.account, account);
        stage.desired.pair_request = Some("again".to_owned());
        stage.run();
        stage.observed.account = running;
        stage.run();
        assert_eq!((stage.said().as_str(), pairing(&stage).attempt), (WAITS, Some(2)));
    }
}

#[test]
fn a_request_during_a_window_gets_a_whole_one_and_not_a_second_one_after_it() {
    let mut stage = Stage::awaiting_scan();
    stage.pass(secs(20));
    stage.desired.pair_request = Some("more time".to_owned());
    stage.run();
    assert_eq!(pairing(&stage).window_ends_at.unwrap().0, stage.now.wall.checked_add(stage.desired.window).unwrap());
    assert_eq!((stage.said().as_str(), pairing(&stage).secret_ref.is_some()), (SHOWS, true), "the code stays on show");
    stage.pass(stage.desired.window);
    stage.shows(Liveness::QrPending);
    stage.run();
    assert_eq!((stage.said().as_str(), pairing(&stage).attempt), (OVER, Some(2)));
}

#[test]
fn when_the_window_ends_the_secret_goes_and_a_person_is_asked() {
    let mut stage = Stage::awaiting_scan();
    stage.desired.window = Duration::from_mins(10);
    let plan = stage.run();
    assert!(plan.again.unwrap() <= secs(65), "the code ends first");
    stage.pass(Duration::from_mins(10));
    let plan = stage.decide();
    assert_eq!(plan.action, Some(Action::DeleteQr));
    let plan = stage.run();
    assert_eq!((plan.action.clone(), stage.said().as_str()), (None, OVER));
    let note = &plan.notices.last().unwrap().note;
    assert!(note.ends_with(
        "kubectl annotate --overwrite was sales -n shop actiwapi.com/pair-requested-at=\"$(date -u +%FT%TZ)\""
    ));
    assert_eq!((pairing(&stage).secret_ref, stage.memory.secret), (None, SecretSight::Absent));
    stage.writes.clear();
    for liveness in [Liveness::QrPending, Liveness::Disconnected, Liveness::Connecting] {
        stage.pass(Duration::from_mins(5));
        stage.shows(liveness);
        assert!(stage.run().settled() && stage.writes.is_empty(), "quiet");
    }
}

#[test]
fn the_end_of_the_window_is_never_slept_through() {
    for mut stage in [Stage::provisioned(), Stage::awaiting_scan(), logged_out()] {
        stage.desired.pair_request = Some("now".to_owned());
        stage.desired.window = secs(12);
        stage.run();
        for change in [
            (|stage| stage.sight().socket_up = false) as fn(&mut Stage),
            |stage| stage.sight().paused = Some(Duration::from_hours(1)),
            |stage| stage.memory.secret = SecretSight::Foreign,
            |stage| stage.sight().events_enabled = false,
        ] {
            change(&mut stage);
            assert!(stage.run().again.is_some_and(|again| again <= secs(12)));
        }
    }
}

#[test]
fn the_socket_comes_before_the_connect() {
    for liveness in [Liveness::Disconnected, Liveness::QrPending, Liveness::Failed] {
        let mut stage = Stage::provisioned();
        stage.shows(liveness.clone());
        stage.sight().socket_up = false;
        let plan = stage.run();
        assert_eq!((plan.action, stage.said().as_str()), (None, WAITS), "{liveness:?}");
        stage.sight().socket_up = true;
        assert_eq!(stage.decide().action, Some(connect()), "{liveness:?}");
    }
    let mut stage = logged_out();
    stage.desired.pair_request = Some("again".to_owned());
    stage.sight().socket_up = false;
    for liveness in [Liveness::LoggedOut, Liveness::Disconnected, Liveness::Failed] {
        stage.shows(liveness.clone());
        assert_eq!(stage.run().action, None, "also for one that lost its phone: {liveness:?}");
    }
}

#[test]
fn a_code_is_said_to_be_on_show_once_the_secret_holds_it() {
    let mut stage = Stage::provisioned();
    stage.run();
    stage.pass(secs(1));
    stage.offers("code-1", 0);
    let plan = stage.decide();
    assert_eq!((published(&plan), plan.status.as_ref()), (Some(&code("code-1")), Some(&stage.recorded)));
    let Some(Action::PublishQr { at, good_for, .. }) = plan.action else { panic!() };
    assert_eq!((at, good_for), (stage.now.mono, Duration::from_mins(1)));
    let plan = stage.run();
    assert_eq!((stage.said().as_str(), pairing(&stage).secret_ref.unwrap().name.as_str()), (SHOWS, "sales-qr"));
    let note = &plan.notices.last().unwrap().note;
    assert!(note.contains("kubectl get secret sales-qr -n shop"), "{note}");
    assert!(!format!("{:?}", stage.recorded).contains("code-1"));
}

#[test]
fn codes_that_come_fast_share_writes_and_the_newest_wins() {
    let mut stage = Stage::awaiting_scan();
    stage.pass(Duration::from_millis(500));
    stage.offers("code-2", 1);
    let plan = stage.run();
    assert_eq!((plan.action, plan.again), (None, Some(Duration::from_millis(1500))));
    stage.pass(Duration::from_millis(500));
    stage.offers("code-3", 2);
    assert_eq!(stage.run().again, Some(secs(1)));
    assert_eq!(stage.said(), SHOWS);
    stage.pass(secs(1));
    assert_eq!(published(&stage.decide()), Some(&code("code-3")));
    stage.run();
    assert!(stage.writes.is_empty(), "a renewed code is no news for the status");
}

#[test]
fn after_the_last_code_the_session_is_looked_at_before_a_new_connect() {
    let mut stage = Stage::awaiting_scan();
    let plan = stage.run();
    assert_eq!(plan.again, Some(secs(65)));
    stage.pass(secs(65));
    assert_eq!(stage.decide().action, Some(look()), "it may have been scanned a moment ago");
    // Nobody did.
    let mut unscanned = Stage::awaiting_scan();
    unscanned.pass(secs(65));
    unscanned.shows(Liveness::QrPending);
    assert_eq!(unscanned.decide().action, Some(connect()));
    // Somebody did: the phone gets its time.
    for removed in [false, true] {
        let mut scanned = Stage::awaiting_scan();
        scanned.pass(secs(65));
        if removed {
            scanned.sight().offer = None;
        }
        scanned.shows(Liveness::Connecting);
        let plan = scanned.decide();
        assert_eq!((plan.action, plan.again), (None, Some(secs(25))));
        scanned.pass(secs(25));
        scanned.shows(Liveness::Connecting);
        assert_eq!(scanned.decide().action, Some(connect()), "but not for ever");
    }
}

#[test]
fn a_later_code_is_good_for_twenty_seconds() {
    let mut stage = Stage::awaiting_scan();
    stage.pass(secs(60));
    stage.offers("code-2", 1);
    assert_eq!(stage.run().again, Some(secs(25)));
}

#[test]
fn a_code_outlives_the_stream_it_came_over_but_none_is_asked_for_without() {
    let mut stage = Stage::awaiting_scan();
    stage.sight().socket_up = false;
    assert_eq!((stage.run().action, stage.said().as_str()), (None, SHOWS));
    stage.pass(secs(66));
    assert_eq!((stage.run().action, stage.said().as_str()), (None, WAITS));
}

#[test]
fn a_secret_of_somebody_else_is_told_and_looked_at_again() {
    let mut stage = Stage::provisioned();
    stage.run();
    stage.pass(secs(1));
    stage.offers("code-1", 0);
    assert!(published(&stage.decide()).is_some());
    stage.memory.secret = SecretSight::Foreign;
    let plan = stage.run();
    assert_eq!((plan.action, plan.again), (None, Some(Duration::from_mins(1))));
    assert_eq!(stage.said(), "Stalled False/SecretConflict Stalled");
    stage.pass(secs(59));
    assert_eq!(stage.run().action, None);
    stage.writes.clear();
    stage.pass(secs(1));
    stage.offers("code-2", 1);
    stage.meet();
    let plan = stage.decide();
    assert_eq!((published(&plan).is_some(), plan.status.as_ref()), (true, Some(&stage.recorded)), "silently");
    stage.run();
    assert_eq!(stage.said(), SHOWS, "it was gone");
}

#[test]
fn a_code_is_in_the_status_only_if_it_is_wanted_and_allowed() {
    for (wanted, allowed, qr, stands) in [
        (false, false, None, SHOWS),
        (false, true, None, SHOWS),
        (true, true, Some("code-1"), SHOWS),
        (true, false, None, "Stalled False/NotAllowed Stalled"),
    ] {
        let mut stage = Stage::provisioned();
        stage.run();
        stage.desired.publish_in_status = wanted;
        stage.policy.allow_qr_in_status = allowed;
        stage.offers("code-1", 0);
        stage.run();
        assert_eq!((pairing(&stage).qr.as_deref(), stage.said().as_str()), (qr, stands));
        // A change of mind takes it away.
        stage.desired.publish_in_status = false;
        assert!(stage.decide().status.unwrap().pairing.is_none_or(|pairing| pairing.qr.is_none()));
    }
}

#[test]
fn a_picture_never_goes_into_the_status() {
    let mut stage = Stage::provisioned();
    stage.run();
    stage.desired.publish_in_status = true;
    stage.policy.allow_qr_in_status = true;
    stage.offers("code-1", 0);
    stage.sight().offer.as_mut().unwrap().qr.content = QrContent::Png(vec![1, 2, 3]);
    stage.run();
    assert_eq!((stage.said().as_str(), pairing(&stage).qr), (SHOWS, None));
}

#[test]
fn with_the_stream_switched_off_the_dashboard_shows_the_code() {
    let shown = "AwaitingScan False/AwaitingDashboardScan Reconciling";
    let mut stage = Stage::provisioned();
    stage.sight().events_enabled = false;
    stage.sight().socket_up = false;
    assert_eq!(stage.decide().action, Some(connect()));
    let plan = stage.run();
    assert_eq!((stage.said().as_str(), plan.sweep_after), (shown, Some(stage.now.mono + SETTLE)));
    stage.pass(SETTLE);
    stage.shows(Liveness::QrPending);
    assert_eq!((stage.run().action, stage.said().as_str()), (None, shown));
    stage.pass(Duration::from_mins(3));
    stage.shows(Liveness::Disconnected);
    assert_eq!(stage.decide().action, Some(connect()), "the provider stopped showing codes, and the window is open");
    stage.pass(Duration::from_mins(10));
    stage.run();
    assert_eq!(stage.said(), OVER);
    stage.desired.pair_request = Some("again".to_owned());
    let plan = stage.decide();
    stage.write(&plan);
    assert_eq!(
        (plan.action, stage.decide().action),
        (Some(Action::Report), Some(connect())),
        "a later window connects as well"
    );
}

#[test]
fn a_lost_phone_shows_nothing_without_being_asked_and_pairs_in_a_window() {
    for (liveness, reason) in [
        (Liveness::QrPending, Reason::LoggedOut),
        (Liveness::LoggedOut, Reason::LoggedOut),
        (Liveness::Banned, Reason::Banned),
        (Liveness::Replaced, Reason::Replaced),
    ] {
        let mut stage = Stage::connected();
        stage.shows(liveness.clone());
        if liveness == Liveness::QrPending {
            stage.offers("unasked", 0);
        }
        let plan = stage.run();
        assert_eq!((plan.action.clone(), stage.said()), (None, format!("Stalled False/{reason} Stalled")));
        let notice = plan.notices.last().unwrap();
        assert!(notice.warning && notice.note.contains("kubectl annotate --overwrite was sales -n shop"));
        // It stands while the provider merely says that the session is offline.
        stage.shows(Liveness::Disconnected);
        stage.writes.clear();
        assert!(stage.run().settled() && stage.writes.is_empty());
        // The last connect was a moment ago, but whoever asks has the phone in hand.
        (stage.memory.connect_at, stage.memory.connects) = (Some(stage.now.mono), 3);
        stage.desired.pair_request = Some("again".to_owned());
        stage.sight().offer = None;
        stage.run();
        assert_eq!((stage.said().as_str(), stage.memory.connects), (WAITS, 1));
        stage.pass(secs(1));
        stage.offers("asked", 0);
        stage.run();
        assert_eq!(stage.said(), SHOWS);
        stage.pass(secs(5));
        stage.shows(Liveness::Connected);
        stage.run();
        assert_eq!(stage.said(), ALL_WELL);
    }
}

#[test]
fn a_restart_of_the_process_deletes_a_secret_it_does_not_know_of() {
    let mut stage = Stage::awaiting_scan();
    stage.memory = Memory::new(stage.now);
    stage.shows(Liveness::Connected);
    assert_eq!(stage.decide().action, Some(Action::DeleteQr));
    stage.run();
    stage.memory = Memory::new(stage.now);
    assert_eq!(stage.decide().action, None, "the record proves that there is none");
}

#[test]
fn trouble_with_the_account_or_the_spec_takes_the_code_away_and_keeps_the_window() {
    for change in [
        (|stage| stage.observed.account = AccountSight::NotFound) as fn(&mut Stage),
        |stage| stage.observed.account = AccountSight::Stalled("no".to_owned()),
        |stage| stage.desired.invalid = Some("nonsense".to_owned()),
        |stage| stage.desired.publish_in_status = true,
    ] {
        let mut stage = Stage::awaiting_scan();
        let ends = pairing(&stage).window_ends_at;
        change(&mut stage);
        assert_eq!(stage.decide().action, Some(Action::DeleteQr));
        stage.run();
        assert_eq!((pairing(&stage).secret_ref, pairing(&stage).window_ends_at), (None, ends));
    }
}
