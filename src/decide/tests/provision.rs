//! A remote session is made exactly once, or an existing one is taken.

use super::*;
use crate::decide::SLOW;

fn create(attempt: i32) -> Action {
    Action::Create { name: NAME.to_owned(), attempt }
}

fn adopt(text: &str) -> Action {
    Action::RecordId { id: id(text), adopted: true }
}

fn made(text: &str) -> Action {
    Action::RecordId { id: id(text), adopted: false }
}

fn intent(attempt: i32) -> Action {
    Action::RecordIntent { attempt }
}

#[test]
fn the_list_decides_whether_a_name_is_adopted_refused_or_created() {
    for (list, action, says_) in [
        (vec![], Some(intent(1)), "Creating False/Creating Reconciling"),
        (vec![named("a", false)], Some(adopt("a")), "Connecting False/Connecting Reconciling"),
        (vec![named("a", false), named("b", true)], Some(adopt("a")), "Connecting False/Connecting Reconciling"),
        (vec![named("a", true)], None, "Stalled False/NameConflict Stalled"),
        (vec![named("a", false), named("b", false)], None, "Stalled False/AmbiguousCreate Stalled"),
    ] {
        let mut stage = Stage::new();
        stage.lists(list.clone());
        let plan = stage.decide();
        assert_eq!((plan.action.clone(), says(&plan).as_str()), (action, says_), "{list:?}");
        assert_eq!(plan.again.is_some(), plan.action.is_none(), "who is stuck looks again: {list:?}");
    }
}

#[test]
fn several_candidates_are_listed_for_the_person_who_must_choose() {
    let mut stage = Stage::new();
    stage.lists(vec![named("a", false), named("b", false), named("c", true)]);
    let plan = stage.decide();
    let note = &plan.notices.last().unwrap().note;
    assert!(
        note.contains("a, b;")
            && note.ends_with("kubectl patch was sales -n shop --type merge -p '{\"spec\":{\"sessionId\":\"ID\"}}'"),
        "{note}"
    );
}

#[test]
fn nothing_is_created_without_a_fresh_complete_sweep() {
    type Row = (&'static str, fn(&mut Stage), fn(Instant) -> Instant);
    let rows: [Row; 5] = [
        ("never swept", |s| s.sight().swept = None, |now| now - secs(65)),
        ("long before it was seen", |s| s.sight().swept = Some(s.now.mono - secs(66)), |now| now - secs(65)),
        ("another attempt", |s| s.observed.name_state = NameState::Free(Some(s.now.mono)), |now| now + SETTLE),
        ("a refusal", |s| s.memory.refused_at = Some(s.now.mono), |now| now),
        ("a person's request", |s| s.memory.fresh_after = Some(s.now.mono), |now| now),
    ];
    for (what, change, after) in rows {
        let mut stage = Stage::new();
        stage.pass(secs(60));
        change(&mut stage);
        let plan = stage.decide();
        let wanted = after(stage.now.mono);
        assert_eq!((plan.action, plan.sweep_after), (None, Some(wanted)), "{what}");
        stage.sight().swept = Some(wanted);
        assert_eq!(stage.decide().action, Some(intent(1)), "{what}");
    }
}

#[test]
fn a_second_of_waiting_for_the_first_sweep_is_not_worth_a_write() {
    let mut stage = Stage::new();
    stage.sight().swept = None;
    assert_eq!(stage.run().action, None);
    assert!(stage.writes.is_empty());
}

#[test]
fn the_finalizer_comes_before_the_intent_and_the_intent_before_the_post() {
    let mut stage = Stage::new();
    stage.desired.finalizer = false;
    let plan = stage.decide();
    assert_eq!(plan.action, Some(Action::AddFinalizer));
    assert_eq!(plan.status.as_ref(), Some(&stage.recorded), "finalizer and status are two requests");
    stage.desired.finalizer = true;
    let plan = stage.decide();
    assert_eq!(plan.action, Some(intent(1)));
    stage.write(&plan);
    let intent = stage.recorded.create.as_ref().unwrap();
    assert_eq!((intent.attempt, intent.holder.as_str()), (1, ME));
    assert_eq!(stage.said(), "Creating False/Creating Reconciling");
    assert_eq!(stage.decide().action, Some(create(1)));
}

#[test]
fn adoption_too_waits_for_the_finalizer() {
    let mut stage = Stage::new();
    stage.desired.finalizer = false;
    stage.lists(vec![named("a", false)]);
    let plan = stage.decide();
    assert_eq!(plan.action, Some(Action::AddFinalizer));
    assert_eq!(plan.status.as_ref(), Some(&stage.recorded), "no window opens before the session is ours");
}

#[test]
fn an_open_intent_of_another_process_is_never_sent_blindly() {
    let mut stage = Stage::new();
    stage.intends(1, "a process before this");
    stage.pass(secs(1));
    let plan = stage.run();
    assert_eq!((plan.action, stage.said().as_str()), (None, "Creating False/Retrying Reconciling"));
    // The sweep at hand began when this process first saw the object: that is the first of the two.
    assert_eq!(plan.sweep_after, Some(stage.memory.first_seen + SETTLE));
    stage.pass(secs(14));
    stage.lists(vec![]);
    assert_eq!(stage.decide().action, Some(intent(2)), "void, so the next attempt begins with its own intent");
    for (list, action) in [(vec![named("late", false)], Some(made("late"))), (vec![named("another-s", true)], None)] {
        stage.lists(list);
        assert_eq!(stage.decide().action, action);
    }
}

#[test]
fn an_intent_of_this_process_whose_post_was_not_sent_may_be_sent() {
    let mut stage = Stage::new();
    stage.intends(3, ME);
    assert_eq!(stage.decide().action, Some(create(3)));
}

#[test]
fn no_create_while_one_is_on_its_way() {
    let mut stage = Stage::new();
    stage.intends(1, ME);
    stage.memory.sent_attempt = Some(1);
    stage.pass(secs(60));
    stage.lists(vec![]);
    for _ in 0..3 {
        let plan = stage.run();
        assert_eq!((plan.action, plan.again), (None, Some(SETTLE)));
        stage.pass(SETTLE);
        stage.lists(vec![]);
    }
}

#[test]
fn a_lost_answer_is_resolved_by_two_sweeps_a_settle_time_apart() {
    for class in CLASSES.into_iter().filter(|class| !class.definite()) {
        let mut stage = Stage::new();
        stage.intends(1, ME);
        stage.create_fails(1, class);
        let lost = stage.now.mono;
        stage.pass(secs(1));
        let plan = stage.run();
        assert_eq!((plan.action, plan.sweep_after), (None, Some(lost + SETTLE)), "{class:?}");
        stage.lists(vec![]);
        stage.memory.clear_since = None;
        let plan = stage.run();
        assert_eq!(plan.sweep_after, Some(lost + secs(1) + SETTLE), "one sweep proves nothing: {class:?}");
        assert_eq!(stage.said(), "Creating False/Retrying Reconciling", "{class:?}");
        stage.pass(secs(14));
        stage.lists(vec![]);
        assert_eq!(stage.run().action, None, "too early: {class:?}");
        stage.pass(secs(1));
        stage.lists(vec![]);
        assert_eq!(stage.decide().action, Some(intent(2)), "{class:?}");
    }
}

#[test]
fn what_appears_after_a_lost_answer_is_ours_and_of_several_a_person_chooses() {
    for (list, action, stands) in [
        (vec![named("a", false)], Some(made("a")), "Connecting False/Connecting Reconciling"),
        (vec![named("a", false), named("b", true)], Some(made("a")), "Connecting False/Connecting Reconciling"),
        (vec![named("a", false), named("b", false)], None, "Stalled False/AmbiguousCreate Stalled"),
    ] {
        let mut stage = Stage::new();
        stage.intends(1, ME);
        stage.create_fails(1, Class::Lost);
        stage.pass(secs(2));
        stage.lists(list.clone());
        let plan = stage.decide();
        assert_eq!((plan.action.clone(), says(&plan).as_str()), (action, stands), "{list:?}");
        assert!(plan.action.is_some() || plan.again == Some(SLOW), "a slow re-check goes on");
    }
}

#[test]
fn only_a_lost_answer_uses_up_an_attempt() {
    for class in CLASSES.into_iter().filter(|class| class.definite()) {
        let mut stage = Stage::new();
        stage.intends(4, ME);
        stage.create_fails(4, class);
        stage.pass(Duration::from_hours(1));
        stage.memory.retry = None;
        assert!(stage.run().sweep_after.is_some(), "the list before the refusal proves nothing: {class:?}");
        stage.lists(vec![]);
        assert_eq!(stage.decide().action, Some(create(4)), "{class:?}");
    }
}

/// Every class of a failed create: what is said, and when it is tried again, once the list shows that nothing was made.
#[test]
fn every_refusal_of_a_create_is_told_and_tried_again_in_its_time() {
    let five = Some(secs(4));
    let slow = Some(secs(599));
    for (class, stands, again) in [
        (Class::Validation, "Stalled False/InvalidRequest Stalled", None),
        (Class::Forbidden, "Stalled False/PermissionDenied Stalled", slow),
        (Class::SessionLimit, "Stalled False/QuotaExceeded Stalled", slow),
        (Class::NotFound, "Creating False/Retrying Reconciling", slow),
        (Class::Conflict, "Creating False/Retrying Reconciling", five),
        (Class::NotSent, "Creating False/Retrying Reconciling", five),
        (Class::Unexpected, "Creating False/Retrying Reconciling", five),
    ] {
        let mut stage = Stage::new();
        stage.intends(1, ME);
        stage.create_fails(1, class);
        stage.observed.name_state = NameState::Free(None);
        stage.pass(secs(1));
        stage.lists(vec![]);
        let plan = stage.decide();
        assert_eq!((plan.action.clone(), says(&plan).as_str(), plan.again), (None, stands, again), "{class:?}");
        let status = plan.status.unwrap();
        assert_eq!(
            (&status.pairing, condition(&status, "Connected")),
            (&None, None),
            "no window before there is a session"
        );
        assert_eq!(status.create, stage.recorded.create, "the intent stays open: {class:?}");
        if let Some(again) = again {
            stage.pass(again);
            assert_eq!(stage.decide().action, Some(create(1)), "{class:?}");
        } else {
            stage.pass(Duration::from_hours(24));
            assert_eq!(stage.decide().action, None, "{class:?}");
            stage.desired.generation += 1;
            stage.meet();
            stage.lists(vec![]);
            assert_eq!(stage.decide().action, Some(create(1)), "a changed spec is tried");
        }
    }
}

/// What concerns the whole account is told there, and holds everybody back.
#[test]
fn a_refusal_that_concerns_the_account_leaves_no_mark_on_the_object() {
    for class in [Class::Unauthorized, Class::SubscriptionInactive, Class::RequestLimit, Class::RateLimited] {
        let mut stage = Stage::new();
        stage.intends(1, ME);
        stage.create_fails(1, class);
        assert_eq!(stage.memory.retry, None, "{class:?}");
    }
}

#[test]
fn after_a_conflict_the_list_decides() {
    for (list, action, stands) in [
        (vec![named("a", false)], Some(adopt("a")), "Connecting False/Connecting Reconciling"),
        (vec![named("a", true)], None, "Stalled False/NameConflict Stalled"),
    ] {
        let mut stage = Stage::new();
        stage.intends(1, ME);
        stage.create_fails(1, Class::Conflict);
        assert_eq!(stage.decide().action, None, "the list before it proves nothing");
        stage.pass(SETTLE);
        stage.lists(list);
        let plan = stage.decide();
        assert_eq!((plan.action.clone(), says(&plan).as_str()), (action, stands));
    }
}

#[test]
fn a_paused_account_sends_no_create_and_opens_no_window() {
    let mut stage = Stage::new();
    stage.intends(1, ME);
    stage.sight().paused = Some(secs(40));
    let plan = stage.run();
    assert_eq!((plan.action, plan.again), (None, Some(secs(40))));
    assert_eq!(stage.said(), "Creating False/Throttled Reconciling");
    assert_eq!((&stage.recorded.pairing, condition(&stage.recorded, "Connected")), (&None, None));
    assert!(plan.notices.is_empty(), "told on the account");
}

#[test]
fn creates_of_one_name_wait_for_each_other() {
    let mut stage = Stage::new();
    stage.observed.name_state = NameState::Busy;
    let plan = stage.decide();
    assert_eq!((plan.action.clone(), plan.again), (None, Some(SETTLE)));
    assert_eq!(says(&plan), "Pending False/Creating Reconciling");
}

#[test]
fn of_two_objects_that_want_one_name_the_younger_neither_creates_nor_adopts() {
    for list in [vec![], vec![named("a", false)]] {
        for (rival, who) in [("older", "WhatsAppSession older"), ("", "another object")] {
            let mut stage = Stage::new();
            stage.lists(list.clone());
            stage.observed.rival = Some(rival.to_owned());
            let plan = stage.decide();
            assert_eq!((plan.action.clone(), says(&plan).as_str()), (None, "Stalled False/NameConflict Stalled"));
            assert!(plan.again.is_some() && plan.notices[0].note.starts_with(who));
        }
    }
}

#[test]
fn a_name_that_is_too_long_is_refused_unless_an_id_makes_it_moot() {
    let mut stage = Stage::new();
    stage.observed.full_name = "ü".repeat(100);
    assert_eq!(stage.decide().action, Some(intent(1)));
    stage.observed.full_name.push('x');
    let plan = stage.decide();
    assert_eq!((plan.action.clone(), says(&plan).as_str()), (None, "Stalled False/InvalidRequest Stalled"));
    stage.desired.session_id = Some(id("s1"));
    stage.observed.wanted = Some(remote("s1", Liveness::Disconnected));
    assert_eq!(stage.decide().action, Some(adopt("s1")));
}

#[test]
fn a_wanted_id_is_adopted_only_if_it_is_there_free_and_within_the_prefix() {
    let there = |name: &str| Some(RemoteSession { name: name.to_owned(), ..remote("s1", Liveness::Connected) });
    for (wanted, claimed, action, stands) in [
        (there("acme-other"), false, Some(adopt("s1")), "Connecting False/Connecting Reconciling"),
        (there("acme-other"), true, None, "Stalled False/SessionClaimed Stalled"),
        (there("rival-other"), false, None, "Stalled False/NotAllowed Stalled"),
        (None, false, None, "Missing False/Missing Stalled"),
    ] {
        let mut stage = Stage::new();
        stage.desired.session_id = Some(id("s1"));
        // The name plays no part.
        stage.lists(vec![named("a", false), named("b", false)]);
        stage.observed.wanted = wanted.clone();
        stage.observed.wanted_id_claimed = claimed;
        let plan = stage.decide();
        assert_eq!((plan.action.clone(), says(&plan).as_str()), (action, stands), "{wanted:?} {claimed}");
        assert!(plan.action.is_some() || plan.again.is_some() || plan.sweep_after.is_some(), "a slow re-check goes on");
    }
}

#[test]
fn a_wanted_id_is_missing_only_by_a_sweep_after_it_was_asked_for() {
    let mut stage = Stage::new();
    stage.meet();
    stage.pass(Duration::from_mins(2));
    stage.desired.session_id = Some(id("s1"));
    stage.desired.generation += 1;
    let plan = stage.run();
    assert_eq!(
        (plan.sweep_after, stage.said().as_str()),
        (Some(stage.now.mono), "Creating False/Creating Reconciling")
    );
    stage.pass(secs(1));
    stage.lists(vec![]);
    stage.run();
    assert_eq!(stage.said(), "Missing False/Missing Stalled");
}

#[test]
fn a_chosen_id_ends_an_ambiguous_create() {
    let mut stage = Stage::new();
    stage.intends(1, "a process before this");
    stage.lists(vec![named("a", false), named("b", false)]);
    stage.desired.session_id = Some(id("b"));
    stage.observed.wanted = Some(remote("b", Liveness::Disconnected));
    let plan = stage.decide();
    assert_eq!(plan.action, Some(adopt("b")));
    assert_eq!(plan.status.unwrap().create, None);
}

#[test]
fn an_account_that_is_being_deleted_starts_nothing_new_but_ends_what_was_begun() {
    let mut stage = Stage::new();
    stage.observed.account_deleting = true;
    let begin = [
        stage.decide(),
        {
            stage.lists(vec![named("a", false)]);
            stage.decide()
        },
        {
            stage.desired.session_id = Some(id("s1"));
            stage.observed.wanted = Some(remote("s1", Liveness::Disconnected));
            stage.decide()
        },
        {
            stage.desired.session_id = None;
            stage.lists(vec![]);
            stage.intends(1, ME);
            stage.decide()
        },
    ];
    for plan in begin {
        assert_eq!((plan.action.clone(), says(&plan).as_str()), (None, "Pending False/AccountNotReady Reconciling"));
    }
    stage.intends(1, "a process before this");
    assert_eq!(stage.decide().sweep_after, Some(stage.now.mono + SETTLE), "the open create is resolved");
    stage.lists(vec![named("a", false)]);
    assert_eq!(stage.decide().action, Some(made("a")));
}

#[test]
fn the_id_write_of_a_create_says_all_there_is_to_say() {
    let mut stage = Stage::new();
    stage.intends(1, ME);
    let mut plan = stage.decide();
    plan.made(&id("s1"), stage.now);
    assert_eq!(plan.notices[0].note, "created the remote session s1");
    stage.write(&plan);
    assert_eq!((stage.recorded.create.as_ref(), stage.recorded.adopted), (None, Some(false)));
    assert_eq!(condition(&stage.recorded, "Provisioned"), Some(("True", "Created")));
    assert_eq!(stage.said(), "Connecting False/Connecting Reconciling");
    assert!(stage.recorded.pairing.as_ref().unwrap().window_ends_at.is_some());
    stage.shows(Liveness::Disconnected);
    let plan = stage.decide();
    assert_eq!((plan.status.as_ref(), plan.notices.len()), (Some(&stage.recorded), 0), "nothing is left to write");
}
