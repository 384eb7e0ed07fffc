//! The event stream: kept up, believed as far as it is understood, and what its codes belong to.

use whatsapp_operator::{
    account::{Settings, Stream},
    provider::{Class, Liveness},
};

use crate::{
    rig::{MINUTE, Rig, SECOND, login, pass, password, settings},
    script::{PASSWORD, answered, id},
};

#[tokio::test(start_paused = true)]
async fn a_socket_that_comes_up_wakes_all_sessions() {
    let mut rig = Rig::of(&[("a", Liveness::Connected), ("b", Liveness::Connected)]);
    rig.provider.world().always.insert("listen", answered(Class::Upstream, 503));
    rig.start();
    pass(10 * SECOND).await;
    rig.woken();
    assert!(!rig.account.sight(None, "").socket_up);
    rig.provider.world().always.clear();
    pass(30 * SECOND).await;
    assert!(rig.account.sight(None, "").socket_up);
    assert_eq!((rig.woken(), rig.stream()), (vec!["a".to_owned(), "b".to_owned()], Stream::Live));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_socket_hears_that_it_is_switched_off() {
    let mut rig = Rig::of(&[("a", Liveness::Disconnected)]);
    rig.provider.world().always.insert("listen", answered(Class::Upstream, 503));
    rig.start();
    pass(10 * SECOND).await;
    rig.woken();
    rig.account.configure(Settings { events: None, ..settings() });
    pass(SECOND).await;
    assert!(!rig.account.sight(None, "").events_enabled);
    assert_eq!(rig.woken(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_comes_when_the_account_works_already_is_told_to_look_again() {
    let mut rig = Rig::running(&[("a", Liveness::Connected)]).await;
    rig.want("b", false);
    assert_eq!(rig.woken(), ["b"], "the account became ready between its look and its wish");
    rig.want("b", false);
    assert!(rig.woken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_socket_waits_for_an_account_that_works() {
    let mut rig = Rig::of(&[("a", Liveness::Connected)]);
    rig.provider.world().always.insert("list", answered(Class::Unavailable, 502));
    rig.start();
    pass(5 * MINUTE).await;
    assert_eq!(rig.count("listen"), 0);
}

#[tokio::test(start_paused = true)]
async fn it_reconnects_ever_more_slowly() {
    let mut rig = Rig::of(&[("a", Liveness::Connected)]);
    rig.provider.world().always.insert("listen", answered(Class::Upstream, 503));
    rig.start();
    pass(60 * MINUTE).await;
    let calls = rig.provider.calls("listen");
    let gaps: Vec<_> = calls.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(gaps.iter().all(|gap| (SECOND / 2..=MINUTE).contains(gap)), "{gaps:?}");
    assert!((60..=350).contains(&calls.len()), "{} connections in an hour", calls.len());
    assert_eq!(rig.count("login"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_ended_stream_is_offline_and_comes_back() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    pass(MINUTE).await;
    rig.provider.world().live = false;
    rig.provider.hang_up(Class::Lost);
    pass(2 * SECOND).await;
    assert_eq!((rig.count("listen"), rig.stream()), (2, Stream::Offline), "up is what the server has accepted");
    rig.provider.world().live = true;
    rig.provider.hang_up(Class::Lost);
    pass(5 * SECOND).await;
    assert_eq!((rig.count("listen"), rig.stream()), (3, Stream::Live));
}

#[tokio::test(start_paused = true)]
async fn a_refused_connect_renews_the_token_once() {
    let mut rig = Rig::of(&[("a", Liveness::Connected)]);
    rig.provider.fail("listen", answered(Class::Unauthorized, 401));
    rig.start();
    pass(10 * SECOND).await;
    let with: Vec<String> = rig.provider.calls("listen").into_iter().map(|call| call.with).collect();
    assert_eq!(with, ["access-1", "access-2"]);
    assert_eq!((rig.count("login"), rig.stream()), (2, Stream::Live));
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_refuses_every_token_costs_one_login() {
    let mut rig = Rig::of(&[("a", Liveness::Connected)]);
    rig.provider.world().always.insert("listen", answered(Class::Unauthorized, 401));
    rig.start();
    pass(24 * 60 * MINUTE).await;
    assert_eq!((rig.count("login"), rig.stalled(), rig.stream()), (2, None, Stream::Offline));
}

#[tokio::test(start_paused = true)]
async fn new_credentials_get_a_connection_of_their_own() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    pass(MINUTE).await;
    rig.account.credentials(password(PASSWORD, "2")).await;
    pass(SECOND).await;
    assert_eq!(rig.count("listen"), 1, "the same ones keep it");
    rig.provider.revoke();
    rig.account.credentials(login("b@example.com", PASSWORD, "3")).await;
    pass(SECOND).await;
    let with: Vec<String> = rig.provider.calls("listen").into_iter().map(|call| call.with).collect();
    assert_eq!(with, ["access-1", "access-2"]);
    assert_eq!(rig.stream(), Stream::Live);
}

#[tokio::test(start_paused = true)]
async fn a_change_no_event_announced_is_not_understood_until_one_does() {
    let mut rig = Rig::running(&[("a", Liveness::Connected), ("b", Liveness::Connected)]).await;
    rig.becomes("a", Liveness::Disconnected);
    pass(5 * MINUTE).await;
    assert_eq!((rig.stream(), rig.woken()), (Stream::NotUnderstood, vec!["a".to_owned()]));
    let before = rig.count("list");
    pass(10 * MINUTE).await;
    assert_eq!(rig.count("list") - before, 10, "the shorter interval while it is not understood");
    rig.becomes("a", Liveness::Connected);
    rig.status("a", Liveness::Connected);
    pass(MINUTE).await;
    assert_eq!(rig.stream(), Stream::Live);
    let before = rig.count("list");
    pass(10 * MINUTE).await;
    assert_eq!(rig.count("list") - before, 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_while_the_socket_was_down_is_nobodys_fault() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    pass(MINUTE).await;
    rig.provider.fail("listen", answered(Class::Upstream, 503));
    rig.provider.hang_up(Class::Lost);
    pass(SECOND / 10).await;
    rig.becomes("a", Liveness::Disconnected);
    pass(10 * MINUTE).await;
    assert_eq!(
        (rig.stream(), rig.account.sight(Some(&id("a")), "").liveness()),
        (Stream::Live, Some(&Liveness::Disconnected))
    );
}

#[tokio::test(start_paused = true)]
async fn our_own_actions_need_no_event() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    rig.account.disconnect(&id("a"), false).await.unwrap();
    pass(5 * MINUTE).await;
    rig.account.connect(&id("a")).await.unwrap();
    pass(5 * MINUTE).await;
    assert_eq!(rig.stream(), Stream::Live);
}

#[tokio::test(start_paused = true)]
async fn a_code_wakes_its_session_and_no_other() {
    let mut rig = Rig::running(&[("a", Liveness::Disconnected), ("b", Liveness::Disconnected)]).await;
    let before = rig.provider.all();
    rig.qr(Some("a"), "2@one");
    rig.qr(Some("stranger"), "2@two");
    pass(SECOND / 10).await;
    assert_eq!(rig.woken(), ["a"]);
    assert!(rig.offers("a") && !rig.offers("b") && !rig.offers("stranger"));
    assert_eq!(rig.provider.all(), before, "a code that names its session needs no look");
}

#[tokio::test(start_paused = true)]
async fn a_nameless_code_is_ours_when_ours_alone_awaits_a_scan() {
    let mut rig = Rig::running(&[("a", Liveness::Disconnected), ("b", Liveness::Connected)]).await;
    rig.account.connect(&id("a")).await.unwrap();
    pass(SECOND).await;
    rig.qr(None, "2@one");
    pass(2 * SECOND).await;
    assert!(rig.offers("a") && !rig.offers("b"));
    assert_eq!((rig.woken(), rig.count("list")), (vec!["a".to_owned()], 2), "one sweep told whose it is");
}

#[tokio::test(start_paused = true)]
async fn a_nameless_code_is_dropped_while_anybody_else_awaits_a_scan() {
    // "x" belongs to nobody here: another cluster, or somebody at the dashboard.
    let rig = Rig::running(&[("a", Liveness::Disconnected)]).await;
    rig.becomes("x", Liveness::QrPending);
    rig.account.connect(&id("a")).await.unwrap();
    pass(SECOND).await;
    rig.qr(None, "2@one");
    pass(MINUTE).await;
    assert!(!rig.offers("a"));
    assert_eq!(rig.count("list"), 2, "it is dropped, not looked for again and again");
}

#[tokio::test(start_paused = true)]
async fn a_nameless_code_from_before_our_connect_is_not_ours() {
    let rig = Rig::running(&[("a", Liveness::QrPending)]).await;
    pass(SECOND).await;
    rig.qr(None, "2@somebody-elses");
    pass(MINUTE).await;
    assert!(!rig.offers("a"), "we never connected it");
}

#[tokio::test(start_paused = true)]
async fn a_connect_voids_what_was_on_offer() {
    let rig = Rig::running(&[("a", Liveness::Disconnected)]).await;
    rig.account.connect(&id("a")).await.unwrap();
    rig.qr(Some("a"), "2@one");
    pass(SECOND).await;
    assert!(rig.offers("a"));
    rig.account.connect(&id("a")).await.unwrap();
    assert!(!rig.offers("a"));
}
