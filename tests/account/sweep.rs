//! When the list is read, and what counts as having read it.

use std::collections::VecDeque;

use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;
use whatsapp_operator::{
    account::{Health, Stream, board::Interest},
    provider::{Class, Liveness, Page, RemoteSession},
};

use crate::{
    rig::{MINUTE, POLL, Rig, SECOND, SETTLED, pass, password},
    script::{PASSWORD, answered, id, remote},
};

const CONNECTED: Liveness = Liveness::Connected;

#[tokio::test(start_paused = true)]
async fn settled_and_live_is_one_sweep_a_settled_interval() {
    let mut rig = Rig::running(&[("a", CONNECTED), ("b", CONNECTED)]).await;
    assert_eq!((rig.stream(), rig.count("list")), (Stream::Live, 1));
    pass(24 * 60 * MINUTE).await;
    assert_eq!(rig.count("list"), 1 + 24 * 12);
    assert_eq!((rig.count("status"), rig.count("login"), rig.count("listen")), (0, 1, 1));
    assert_eq!(rig.woken(), [""; 0], "nothing changed, nobody is woken");
}

#[tokio::test(start_paused = true)]
async fn anything_in_motion_is_one_sweep_a_poll_interval() {
    let rig = Rig::running(&[("a", CONNECTED), ("b", CONNECTED)]).await;
    rig.want("b", false);
    pass(60 * MINUTE).await;
    assert_eq!(rig.count("list"), 1 + 60);
    rig.want("b", true);
    pass(60 * MINUTE).await;
    assert_eq!(rig.count("list"), 1 + 60 + 12);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_down_or_off_is_one_sweep_a_poll_interval() {
    let mut down = Rig::of(&[("a", CONNECTED)]);
    down.provider.world().always.insert("listen", answered(Class::NotFound, 404));
    down.start();
    let mut settings = crate::rig::settings();
    settings.events = None;
    let mut off = Rig::with(settings, password(PASSWORD, "1"));
    off.becomes("a", CONNECTED);
    off.want("a", true);
    off.start();
    pass(60 * MINUTE + SECOND).await;
    assert_eq!((down.stream(), down.count("list")), (Stream::Offline, 61));
    assert_eq!((off.stream(), off.count("list"), off.count("listen")), (Stream::Disabled, 61, 0));
}

#[tokio::test(start_paused = true)]
async fn wishes_for_a_fresh_sweep_share_one() {
    let mut rig = Rig::running(&[("a", CONNECTED), ("b", CONNECTED)]).await;
    pass(10 * SECOND).await;
    for text in ["a", "b"] {
        let session = ObjectRef::new(text).within("ns");
        let sweep_after = Some(Instant::now());
        rig.account.want(text, Interest { session, id: Some(id(text)), settled: true, sweep_after });
    }
    pass(10 * SECOND).await;
    assert_eq!(rig.count("list"), 2);
    assert_eq!(rig.woken(), ["a", "b"]);
    pass(4 * MINUTE).await;
    assert_eq!(rig.count("list"), 2, "an answered wish is not answered again");
}

#[tokio::test(start_paused = true)]
async fn many_hints_cost_at_most_one_read_a_second() {
    let rig = Rig::running(&[("a", CONNECTED), ("b", CONNECTED)]).await;
    let before = rig.count("list") + rig.count("status");
    for _ in 0..100 {
        rig.status("a", Liveness::Failed);
        rig.status("b", Liveness::Failed);
        pass(SECOND / 10).await;
    }
    let reads = rig.count("list") + rig.count("status") - before;
    assert!((9..=12).contains(&reads), "{reads} reads in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_one_session_is_one_status_read() {
    let mut rig = Rig::running(&[("a", CONNECTED), ("b", CONNECTED)]).await;
    rig.becomes("a", Liveness::Disconnected);
    rig.status("a", Liveness::Disconnected);
    pass(2 * SECOND).await;
    assert_eq!((rig.count("list"), rig.count("status")), (1, 1));
    assert_eq!(rig.woken(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_read_holds_nobody_up() {
    let mut rig = Rig::running(&[("a", CONNECTED), ("b", CONNECTED)]).await;
    rig.provider.world().always.insert("status", answered(Class::Internal, 500));
    rig.becomes("a", Liveness::Disconnected);
    rig.becomes("b", Liveness::Disconnected);
    rig.status("a", Liveness::Disconnected);
    pass(3 * SECOND).await;
    assert_eq!((rig.count("status"), rig.count("list")), (1, 2), "the sweep tells what the status read could not");
    assert_eq!((rig.woken(), rig.health()), (vec!["a".to_owned(), "b".to_owned()], Health::Ready));
    for _ in 0..20 {
        rig.status("a", CONNECTED);
        pass(3 * SECOND).await;
    }
    assert_eq!((rig.count("status"), rig.count("list"), rig.health()), (21, 22, Health::Ready));
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_hundred_are_read_to_the_end() {
    let mut rig = Rig::of(&[("a", CONNECTED)]);
    for number in 0..249 {
        rig.becomes(&format!("s{number}"), CONNECTED);
    }
    rig.start();
    pass(SECOND).await;
    let asked: Vec<String> = rig.provider.calls("list").into_iter().map(|call| call.about).collect();
    assert_eq!(asked, ["1/100", "2/100", "3/100"]);
    assert_eq!(rig.account.listed().len(), 250);
}

#[tokio::test(start_paused = true)]
async fn a_provider_of_small_pages_is_asked_for_a_large_one_once() {
    let mut rig = Rig::of(&[("a", CONNECTED)]);
    rig.provider.world().largest_page = 20;
    for number in 0..29 {
        rig.becomes(&format!("s{number}"), CONNECTED);
    }
    rig.start();
    pass(SETTLED + SECOND).await;
    let asked: Vec<String> = rig.provider.calls("list").into_iter().map(|call| call.about).collect();
    assert_eq!(asked, ["1/100", "1/20", "2/20", "1/20", "2/20"]);
    assert_eq!((rig.account.listed().len(), rig.health()), (30, Health::Ready));
}

fn page(sessions: &[RemoteSession], total: Option<u64>) -> Page {
    Page { sessions: sessions.to_vec(), unreadable: 0, limit: None, total }
}

/// Sweeps that prove nothing: each as the pages of one read.
fn incomplete() -> Vec<(&'static str, Vec<Page>)> {
    let (a, b, c) = (remote("a", CONNECTED), remote("b", CONNECTED), remote("c", CONNECTED));
    vec![
        ("an id came twice", vec![page(&[a.clone(), b.clone()], Some(4)), page(&[b.clone(), c.clone()], Some(4))]),
        ("total changed", vec![page(&[a.clone(), b.clone()], Some(3)), page(std::slice::from_ref(&c), Some(4))]),
        ("total is never reached", vec![page(std::slice::from_ref(&a), Some(3)), page(&[], Some(3))]),
        ("more than total", vec![page(&[a.clone(), b.clone(), c.clone()], Some(2))]),
        ("an id came twice, without total", vec![page(&[a.clone(), b.clone()], None), page(&[b.clone(), c], None)]),
        ("an entry cannot be read", vec![Page { unreadable: 1, ..page(&[a, b], Some(2)) }]),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_sweep_is_read_again() {
    for (what, pages) in incomplete() {
        let mut rig = Rig::of(&[("a", CONNECTED), ("b", CONNECTED)]);
        rig.provider.world().pages = std::iter::repeat_n(pages.clone(), 2).flatten().collect();
        rig.start();
        pass(SECOND).await;
        assert_eq!(rig.count("list"), 2 * pages.len() + 1, "{what}");
        assert_eq!((rig.account.listed().len(), rig.health()), (2, Health::Ready), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_three_incomplete_sweeps_nothing_is_proven() {
    for (what, pages) in incomplete() {
        let mut rig = Rig::running(&[("a", CONNECTED), ("b", CONNECTED), ("z", CONNECTED)]).await;
        let (before, listed) = (rig.count("list"), rig.account.listed());
        rig.provider.world().pages = std::iter::repeat_n(pages.clone(), 3).flatten().collect();
        let swept = rig.account.sight(None, "").swept;
        pass(SETTLED).await;
        assert_eq!(rig.count("list") - before, 3 * pages.len(), "{what}");
        assert_eq!((rig.account.sight(None, "").swept, rig.account.listed()), (swept, listed), "{what}");
        assert_eq!((rig.woken(), rig.health()), (vec![], Health::Ready), "{what}");
        pass(6 * SECOND).await;
        assert_eq!(rig.count("list") - before, 3 * pages.len() + 1, "{what}: read again a little later");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_total_pages_are_read_until_one_adds_nothing() {
    let (a, b) = (remote("a", CONNECTED), remote("b", CONNECTED));
    for last in [page(&[], None), page(std::slice::from_ref(&b), None)] {
        let mut rig = Rig::of(&[("a", CONNECTED), ("b", CONNECTED)]);
        let first = [page(std::slice::from_ref(&a), None), page(std::slice::from_ref(&b), None)];
        rig.provider.world().pages = VecDeque::from([first.as_slice(), &[last]].concat());
        rig.start();
        pass(SECOND).await;
        assert_eq!((rig.count("list"), rig.account.listed().len()), (3, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_list_is_read_ever_less_often() {
    let rig = Rig::running(&[("a", CONNECTED)]).await;
    rig.provider.world().always.insert("list", answered(Class::Unavailable, 502));
    rig.want("a", false);
    pass(POLL).await;
    let before = rig.count("list");
    pass(60 * MINUTE).await;
    let hour = rig.count("list") - before;
    assert!((8..=25).contains(&hour), "{hour} calls in an hour of outage");
    assert!(matches!(rig.health(), Health::Retrying(_)), "{:?}", rig.health());
    rig.provider.world().always.clear();
    pass(11 * MINUTE).await;
    assert_eq!(rig.health(), Health::Ready);
}
