//! What holds for every scene, however strange.

use std::{fmt, sync::Arc};

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::{
    api::{LocalRef, Phase, Reason, session::PairingStatus},
    decide::{Situation, input::seconds, memory::Retry},
};

/// A while: often short, as most waits are.
fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![0..5000_u64, 0..40_u64, Just(0)].prop_map(secs)
}

fn liveness() -> impl Strategy<Value = Liveness> {
    select(vec![
        Liveness::Connected,
        Liveness::Connecting,
        Liveness::QrPending,
        Liveness::Disconnected,
        Liveness::LoggedOut,
        Liveness::Banned,
        Liveness::Replaced,
        Liveness::Failed,
        Liveness::Other("napping".to_owned()),
    ])
}

/// One step away from an ordinary stage.
#[derive(Clone)]
struct Change(Arc<dyn Fn(&mut Stage)>);

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Change")
    }
}

fn boxed(change: impl Fn(&mut Stage) + 'static) -> Change {
    Change(Arc::new(change))
}

type Instants = fn(&mut Memory) -> &mut Option<Instant>;

fn remembered() -> impl Strategy<Value = Change> {
    let instants: Vec<Instants> = vec![
        |m| &mut m.connect_at,
        |m| &mut m.unknown_since,
        |m| &mut m.clear_since,
        |m| &mut m.refused_at,
        |m| &mut m.fresh_after,
        |m| &mut m.id_since,
        |m| &mut m.published,
        |m| &mut m.secret_written,
    ];
    let secrets = vec![SecretSight::Unknown, SecretSight::Absent, SecretSight::Ours, SecretSight::Foreign];
    prop_oneof![
        4 => (select(instants), option::of(time())).prop_map(|(instant, ago)| {
            boxed(move |s| *instant(&mut s.memory) = ago.map(|ago| s.now.mono - ago))
        }),
        1 => time().prop_map(|ago| boxed(move |s| s.memory.first_seen = s.now.mono - ago)),
        1 => Just(boxed(|s| s.memory.retry = None)),
        2 => (select(CLASSES.to_vec()), time(), any::<bool>(), 1..9_u32).prop_map(|(class, time, over, failures)| {
            boxed(move |s| {
                let at = if over { s.now.mono - time } else { s.now.mono + time };
                let not_before = (class != Class::Validation).then_some(at);
                s.memory.retry = Some(Retry { failures, not_before, class, detail: "no such thing".to_owned() });
            })
        }),
        1 => (any::<[bool; 3]>(), 0..5_u32, option::of(1..4_i32)).prop_map(|([doubt, gone, tried], connects, sent)| {
            boxed(move |s| {
                (s.memory.doubt, s.memory.let_go, s.memory.tried) = (doubt, gone, tried);
                (s.memory.connects, s.memory.sent_attempt) = (connects, sent);
            })
        }),
        1 => select(secrets).prop_map(|secret| boxed(move |s| s.memory.secret = secret)),
    ]
}

fn declared() -> impl Strategy<Value = Change> {
    let word = || option::of(select(vec!["x", "y"])).prop_map(|word| word.map(str::to_owned));
    prop_oneof![
        3 => (any::<[bool; 6]>(), 0..9_u8).prop_map(|(b, rare)| boxed(move |s| {
            let [finalizer, orphan, offline, on_request, publish, allow] = b;
            s.desired.finalizer = finalizer;
            s.desired.deletion_policy = if orphan { DeletionPolicy::Orphan } else { DeletionPolicy::Disconnect };
            s.desired.desired_state = if offline { DesiredState::Disconnected } else { DesiredState::Connected };
            s.desired.mode = if on_request { PairingMode::OnRequest } else { PairingMode::Auto };
            s.desired.publish_in_status = publish;
            s.policy.allow_qr_in_status = allow;
            s.desired.suspend = rare == 0;
            s.desired.invalid = (rare == 1).then(|| "nonsense".to_owned());
        })),
        1 => option::of(time()).prop_map(|ago| boxed(move |s| {
            s.desired.deleting = ago.map(|ago| s.now.wall.checked_sub(ago).unwrap());
        })),
        1 => word().prop_map(|word| boxed(move |s| s.desired.pair_request.clone_from(&word))),
        1 => word().prop_map(|word| boxed(move |s| s.desired.reconcile_request.clone_from(&word))),
        1 => option::of(select(vec!["s1", "s2"])).prop_map(|x| boxed(move |s| s.desired.session_id = x.map(id))),
        1 => (0..3_i64).prop_map(|by| boxed(move |s| s.desired.generation += by)),
    ]
}

/// Does this to the account's sight, if the account runs.
fn sighted(change: impl Fn(&mut Sight, Instant) + 'static) -> Change {
    boxed(move |s| {
        if let AccountSight::Running(sight) = &mut s.observed.account {
            change(sight, s.now.mono);
        }
    })
}

fn account() -> impl Strategy<Value = Change> {
    let troubles = vec![
        AccountSight::NotFound,
        AccountSight::Starting,
        AccountSight::NotReady("down".to_owned()),
        AccountSight::Stalled("refused".to_owned()),
    ];
    let healths = vec![
        Health::Ready,
        Health::Starting,
        Health::Retrying("down".to_owned()),
        Health::Stalled(Reason::CredentialsInvalid, "refused".to_owned()),
    ];
    prop_oneof![
        1 => select(troubles).prop_map(|account| boxed(move |s| s.observed.account = account.clone())),
        1 => select(healths).prop_map(|health| sighted(move |sight, _| sight.health = health.clone())),
        2 => any::<[bool; 3]>().prop_map(|[up, enabled, paused]| sighted(move |sight, _| {
            (sight.socket_up, sight.events_enabled, sight.paused) = (up, enabled, paused.then(|| secs(90)));
        })),
        2 => option::of(time()).prop_map(|ago| sighted(move |sight, now| sight.swept = ago.map(|ago| now - ago))),
        3 => option::of((liveness(), time(), any::<bool>())).prop_map(|mine| sighted(move |sight, now| {
            sight.mine = mine.clone().map(|(liveness, ago, phoned)| Seen {
                remote: RemoteSession { phone: phone().filter(|_| phoned), ..remote("s1", liveness) },
                at: now - ago,
            });
        })),
        2 => option::of((time(), 0..3_u32, any::<bool>())).prop_map(|offer| sighted(move |sight, now| {
            sight.offer = offer.map(|(ago, nth, png)| {
                let content = if png { QrContent::Png(vec![1]) } else { QrContent::Raw("2@secret".to_owned()) };
                Offer { qr: Qr { content, pairing_code: None }, at: now - ago, nth }
            });
        })),
        1 => option::of((time(), time())).prop_map(|absence| sighted(move |sight, now| {
            sight.absence = absence.map(|(a, b)| Absence { first: now - a.max(b), last: now - a.min(b) });
        })),
    ]
}

fn around() -> impl Strategy<Value = Change> {
    prop_oneof![
        vec((select(vec!["a", "b", "c"]), any::<bool>()), 0..3).prop_map(|list| boxed(move |s| {
            s.observed.named = list.iter().map(|(id, claimed)| named(id, *claimed)).collect();
        })),
        (any::<[bool; 5]>(), option::of(time())).prop_map(|([going, busy, rival, claimed, foreign], end)| {
            boxed(move |s| {
                s.observed.account_deleting = going;
                let end = end.map(|ago| s.now.mono - ago);
                s.observed.name_state = if busy { NameState::Busy } else { NameState::Free(end) };
                s.observed.rival = rival.then(|| "older".to_owned());
                (s.observed.wanted_id_claimed, s.observed.outclaimed) = (claimed, claimed && foreign);
                s.observed.prefix = if foreign { "rival-" } else { "acme-" }.to_owned();
            })
        }),
        option::of(liveness()).prop_map(|wanted| boxed(move |s| {
            s.observed.wanted = wanted.clone().map(|liveness| remote("s1", liveness));
        })),
    ]
}

fn recorded() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(boxed(|s| s.recorded.create = None)),
        (1..4_i32, any::<bool>())
            .prop_map(|(attempt, mine)| boxed(move |s| s.intends(attempt, if mine { ME } else { "another" }))),
        any::<bool>().prop_map(|id| boxed(move |s| s.recorded.session_id = id.then(|| "s1".to_owned()))),
        (any::<[bool; 4]>(), option::of((time(), any::<bool>()))).prop_map(|([secret, qr, asked, none], window)| {
            boxed(move |s| {
                let wall = s.now.wall;
                let ends = |(time, over): (Duration, bool)| {
                    seconds(if over { wall.checked_sub(time) } else { wall.checked_add(time) }.unwrap())
                };
                s.recorded.pairing = (!none).then(|| PairingStatus {
                    secret_ref: secret.then(|| LocalRef { name: "sales-qr".to_owned() }),
                    attempt: Some(1),
                    window_ends_at: window.map(ends),
                    last_handled_request: asked.then(|| "x".to_owned()),
                    qr: qr.then(|| "2@secret".to_owned()),
                });
            })
        }),
        any::<bool>().prop_map(|paired| boxed(move |s| s.recorded.first_connected_time = paired.then(|| s.now.time()))),
        // What an earlier decision wrote, some time ago.
        time().prop_map(|time| boxed(move |s| {
            let plan = s.decide();
            s.write(&plan);
            s.pass(time);
        })),
    ]
}

/// An ordinary stage, and what is strange about it.
fn stage() -> impl Strategy<Value = Stage> {
    let begin =
        select(vec![Stage::new as fn() -> Stage, Stage::provisioned, Stage::connected, Stage::awaiting_scan, || {
            Stage::connected().deleted()
        }]);
    (begin, vec(prop_oneof![remembered(), declared(), account(), around(), recorded()], 0..16)).prop_map(
        |(begin, changes)| {
            let mut stage = begin();
            for change in changes {
                change.0(&mut stage);
            }
            stage
        },
    )
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("desired", &self.desired)
            .field("recorded", &self.recorded)
            .field("observed", &self.observed)
            .field("memory", &self.memory)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// The phases that go with what the conditions say.
fn phases(status: &WhatsAppSessionStatus) -> &'static [Phase] {
    let ready = condition(status, "Ready");
    if condition(status, "Suspended").is_some() {
        &[Phase::Suspended]
    } else if condition(status, "Stalled").is_some() {
        &[Phase::Stalled, Phase::Missing]
    } else if ready.is_some_and(|(status, _)| status == "True") {
        &[Phase::Connected, Phase::Disconnected]
    } else if ready.is_some_and(|(_, reason)| reason == "Deleting") {
        &[Phase::Deleting]
    } else if ready.is_some_and(|(_, reason)| reason == "Disconnecting") {
        &[Phase::Connected, Phase::Connecting]
    } else if ready.is_some_and(|(_, reason)| matches!(reason, "AwaitingScan" | "AwaitingDashboardScan")) {
        &[Phase::AwaitingScan]
    } else {
        &[Phase::Pending, Phase::Creating, Phase::Connecting, Phase::Connected, Phase::AwaitingScan]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conditions_and_phase_keep_their_contract(stage in stage()) {
        let plan = stage.decide();
        let status = plan.status.clone().unwrap();
        let spoke = plan.situation != Situation::Quiet;
        if spoke {
            let (reconciling, stalled) = (condition(&status, "Reconciling"), condition(&status, "Stalled"));
            prop_assert!(reconciling.is_none() || stalled.is_none());
            prop_assert!(reconciling.is_none_or(|c| c.0 == "True") && stalled.is_none_or(|c| c.0 == "True"));
            prop_assert!(phases(&status).contains(&status.phase.unwrap()), "{}", said(&status));
            let suspended = stage.desired.suspend && stage.desired.deleting.is_none();
            prop_assert_eq!(condition(&status, "Suspended").is_some(), suspended);
            if !suspended {
                let ready = condition(&status, "Ready").unwrap();
                prop_assert_eq!(ready.0 == "True", reconciling.is_none() && stalled.is_none());
            }
            prop_assert_eq!(status.observed_generation, Some(stage.desired.generation));
            let mut kinds: Vec<_> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
            kinds.sort_unstable();
            kinds.dedup();
            prop_assert_eq!(kinds.len(), status.conditions.len());
        } else {
            prop_assert_eq!(&status.conditions, &stage.recorded.conditions);
            prop_assert!(plan.notices.is_empty() || plan.action == Some(Action::RemoveFinalizer));
        }
        prop_assert!(status.observed_generation >= stage.recorded.observed_generation);
        prop_assert!(status.conditions.iter().all(|c| !c.message.is_empty() && c.message.len() < 32_768));
        prop_assert!(plan.notices.iter().all(|n| n.note.len() <= 1024));
    }

    #[test]
    fn a_code_is_in_no_text_but_where_it_is_wanted_and_allowed(stage in stage()) {
        let plan = stage.decide();
        let mut status = plan.status.clone().unwrap();
        let allowed = stage.desired.publish_in_status && stage.policy.allow_qr_in_status;
        if let Some(pairing) = &mut status.pairing {
            let qr = pairing.qr.take();
            prop_assert!(qr.is_none() || allowed);
        }
        let texts = format!("{status:?}{:?}{:?}{:?}", plan.situation, plan.action, plan.notices);
        prop_assert!(!texts.contains("2@secret"));
    }

    #[test]
    fn frozen_or_deleted_objects_change_nothing_remote_but_by_a_disconnect(stage in stage()) {
        let Some(action) = stage.decide().action else { return Ok(()) };
        if stage.desired.deleting.is_some() {
            let fine = match action {
                Action::Disconnect { deleting, .. } => deleting,
                Action::RecordId { .. } | Action::ReadStatus { .. } | Action::DeleteQr | Action::RemoveFinalizer => true,
                _ => false,
            };
            prop_assert!(fine, "{action:?}");
            prop_assert!(stage.desired.finalizer);
        } else {
            prop_assert!(action != Action::RemoveFinalizer);
            let deleting = matches!(action, Action::Disconnect { deleting: true, .. });
            prop_assert!(!deleting);
            if stage.desired.suspend || stage.desired.invalid.is_some() {
                prop_assert!(matches!(action, Action::DeleteQr | Action::AddFinalizer), "{action:?}");
            }
        }
    }

    #[test]
    fn a_create_follows_its_own_intent_and_a_list_without_the_name(stage in stage()) {
        use Action::{Create, RecordId, RecordIntent};
        let plan = stage.decide();
        if let Some(Action::Create { attempt, name }) = &plan.action {
            let intent = stage.recorded.create.as_ref().unwrap();
            prop_assert_eq!((intent.attempt, intent.holder.as_str()), (*attempt, ME));
            prop_assert_ne!(stage.memory.sent_attempt, Some(*attempt));
            prop_assert_eq!(name, &stage.observed.full_name);
        }
        if let Some(Action::Create { .. } | Action::RecordIntent { .. }) = &plan.action {
            prop_assert!(stage.observed.named.is_empty() && stage.observed.rival.is_none());
            prop_assert!(stage.recorded.session_id.is_none() && stage.desired.session_id.is_none());
            prop_assert!(!stage.observed.account_deleting);
            let AccountSight::Running(sight) = &stage.observed.account else { panic!() };
            let NameState::Free(end) = stage.observed.name_state else { panic!() };
            prop_assert!(end.is_none_or(|end| sight.swept.unwrap() >= end + SETTLE));
        }
        if let Some(Action::RecordIntent { attempt }) = &plan.action {
            let before = stage.recorded.create.as_ref().map_or(0, |create| create.attempt);
            prop_assert_eq!(*attempt, before + 1);
        }
        // What only those two writes may touch.
        let status = plan.status.unwrap();
        if !matches!(plan.action, Some(Create { .. } | RecordIntent { .. } | RecordId { .. })) {
            prop_assert_eq!(&status.create, &stage.recorded.create);
            prop_assert_eq!(&status.session_id, &stage.recorded.session_id);
        }
    }

    #[test]
    fn calls_are_made_with_a_finalizer_a_usable_account_and_in_their_time(stage in stage()) {
        let plan = stage.decide();
        let Some(action) = &plan.action else { return Ok(()) };
        prop_assert!(stage.desired.finalizer || !action.needs_finalizer());
        let lost = stage.observed.outclaimed && stage.recorded.session_id.is_some();
        prop_assert!(!lost || !action.is_remote(), "a session that another object manages is let alone");
        if action.is_remote() {
            let AccountSight::Running(sight) = &stage.observed.account else { panic!() };
            prop_assert!(sight.paused.is_none());
            prop_assert!(!matches!(sight.health, Health::Stalled(..)));
            if let Some(retry) = &stage.memory.retry {
                let due = retry.not_before.is_some_and(|at| at <= stage.now.mono);
                let look = matches!(action, Action::ReadStatus { .. });
                prop_assert!(due || (look && matches!(retry.class, Class::Conflict | Class::NotFound)));
            }
        }
    }

    #[test]
    fn deciding_again_says_nothing_new(mut stage in stage()) {
        let first = stage.decide();
        let harmless = match &first.action {
            None | Some(Action::Report | Action::AddFinalizer | Action::DeleteQr | Action::PublishQr { .. }) => true,
            Some(action) => action.is_remote() && !matches!(action, Action::Create { .. }),
        };
        if !harmless {
            return Ok(());
        }
        stage.write(&first);
        let second = stage.decide();
        prop_assert_ne!(&second.action, &Some(Action::Report));
        if first.action == Some(Action::Report) {
            stage.write(&second);
            prop_assert_eq!(stage.decide().status, second.status);
        } else {
            prop_assert_eq!(&second.status, &first.status);
            prop_assert_eq!(second.action, first.action);
            prop_assert!(second.notices.is_empty());
        }
    }

    #[test]
    fn whoever_waits_is_woken(stage in stage()) {
        let plan = stage.decide();
        if plan.action.is_some() {
            return Ok(());
        }
        prop_assert!(plan.again != Some(Duration::ZERO), "a hot loop");
        let AccountSight::Running(sight) = &stage.observed.account else { return Ok(()) };
        let events = sight.swept.is_none() || !matches!(sight.health, Health::Ready);
        let Situation::Working(reason, ..) = &plan.situation else { return Ok(()) };
        let other = matches!(reason, Reason::AccountNotReady) || events;
        prop_assert!(plan.again.is_some() || plan.sweep_after.is_some() || other, "{:?}", plan.situation);
        // A sweep that is waited for is one that is not there yet.
        let at_hand = plan.sweep_after.is_some_and(|after| sight.swept.is_some_and(|swept| swept >= after));
        prop_assert!(plan.again.is_some() || !at_hand);
    }
}
