//! Pauses the provider asks for, and what is read about the plan.

use futures::future::join_all;
use whatsapp_operator::provider::{Class, Liveness};

use crate::{
    rig::{MINUTE, Rig, SECOND, pass},
    script::{answered, id, pause},
};

#[tokio::test(start_paused = true)]
async fn a_429_pauses_everything_until_the_time_it_names() {
    let rig = Rig::running(&[("a", Liveness::Connected), ("b", Liveness::Connected)]).await;
    rig.want("a", false);
    rig.provider.fail("connect", pause(300));
    let told = tokio::time::Instant::now();
    assert_eq!(rig.account.connect(&id("a")).await.map_err(|error| error.class), Err(Class::RateLimited));
    // The socket drops, sessions are hinted at, everybody tries: nothing is sent.
    rig.status("b", Liveness::Disconnected);
    rig.provider.hang_up(Class::Lost);
    let sent = rig.provider.all();
    while told.elapsed() < 299 * SECOND {
        let error = rig.account.disconnect(&id("b"), true).await.unwrap_err();
        assert_eq!((error.class, error.status), (Class::RateLimited, None));
        assert!(rig.account.view().paused.is_some() && rig.account.sight(None, "").paused.is_some());
        pass(SECOND).await;
    }
    assert_eq!(rig.provider.all(), sent);
    pass(MINUTE).await;
    assert!(rig.account.view().paused.is_none());
    assert!(rig.count("list") >= 2 && rig.count("listen") == 2, "it goes on by itself");
}

#[tokio::test(start_paused = true)]
async fn a_429_to_a_login_or_the_socket_pauses_as_well() {
    let mut login = Rig::of(&[("a", Liveness::Connected)]);
    login.provider.fail("login", pause(120));
    login.start();
    let mut socket = Rig::of(&[("a", Liveness::Connected)]);
    socket.provider.fail("listen", pause(120));
    socket.start();
    pass(119 * SECOND).await;
    assert_eq!(login.provider.all(), 1);
    assert!(socket.account.view().paused.is_some());
    let sent = socket.provider.all();
    assert!(socket.account.connect(&id("a")).await.is_err());
    assert_eq!(socket.provider.all(), sent);
    pass(10 * SECOND).await;
    assert!(login.count("list") == 1 && socket.count("listen") == 2);
}

#[tokio::test(start_paused = true)]
async fn a_storm_without_retry_after_is_one_short_pause() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    rig.provider.world().latency = SECOND / 10;
    rig.provider.world().always.insert("connect", answered(Class::RateLimited, 429));
    let a = id("a");
    join_all((0..10).map(|_| rig.account.connect(&a))).await;
    assert_eq!(rig.count("connect"), 10);
    let paused = rig.account.view().paused.unwrap();
    assert!(paused <= 5 * SECOND, "{paused:?}");
}

#[tokio::test(start_paused = true)]
async fn usage_and_subscription_are_read_at_start_and_once_a_day() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    assert_eq!((rig.count("usage"), rig.count("subscription")), (1, 1));
    assert_eq!(rig.account.view().usage.unwrap().sessions, Some((1, 5)));
    assert_eq!(rig.account.view().subscription.unwrap().status, "active");
    pass(23 * 60 * MINUTE).await;
    assert_eq!((rig.count("usage"), rig.count("subscription")), (1, 1));
    pass(70 * MINUTE).await;
    assert_eq!((rig.count("usage"), rig.count("subscription")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_reached_limit_has_them_read_with_the_next_sweep() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    rig.provider.fail("create", answered(Class::SessionLimit, 403));
    assert!(rig.account.create("B").await.is_err());
    pass(6 * MINUTE).await;
    assert_eq!((rig.count("usage"), rig.stalled()), (2, None));
}

#[tokio::test(start_paused = true)]
async fn a_provider_without_billing_is_no_worse_an_account() {
    for (class, status) in [
        (Class::NotFound, 404),
        (Class::Unauthorized, 401),
        (Class::SubscriptionInactive, 403),
        (Class::RequestLimit, 403),
        (Class::Internal, 500),
    ] {
        let mut rig = Rig::of(&[("a", Liveness::Connected)]);
        rig.provider.world().always.insert("usage", answered(class, status));
        rig.provider.world().always.insert("subscription", answered(class, status));
        rig.start();
        pass(23 * 60 * MINUTE).await;
        assert_eq!((rig.stalled(), rig.count("usage"), rig.count("subscription")), (None, 1, 1), "{class:?}");
        rig.account.connect(&id("a")).await.unwrap();
    }
}
