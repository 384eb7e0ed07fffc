//! One token for all calls of an account.

use std::{collections::VecDeque, time::Duration};

use futures::future::join_all;
use whatsapp_operator::{
    account::Health,
    api::Reason,
    provider::{Class, Liveness},
};

use crate::{
    rig::{MINUTE, Rig, SECOND, login, pass, password, token},
    script::{PASSWORD, answered, id},
};

async fn look(rig: &Rig) -> Result<(), Class> {
    rig.account.status(&id("a")).await.map_err(|error| error.class)
}

fn idle() -> Rig {
    let rig = Rig::idle(password(PASSWORD, "1"));
    rig.becomes("a", Liveness::Connected);
    rig
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_share_one_login() {
    let rig = idle();
    rig.provider.world().latency = Duration::from_millis(200);
    let answers = join_all((0..50).map(|_| look(&rig))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!((rig.count("login"), rig.count("status")), (1, 50));
}

#[tokio::test(start_paused = true)]
async fn many_refused_calls_at_once_share_one_renewal() {
    let rig = idle();
    rig.provider.world().latency = Duration::from_millis(200);
    look(&rig).await.unwrap();
    rig.provider.revoke();
    let answers = join_all((0..20).map(|_| look(&rig))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!((rig.count("login"), rig.count("status")), (2, 1 + 2 * 20));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_expires() {
    let rig = idle();
    rig.provider.world().life = Some(15 * MINUTE);
    rig.provider.world().refreshes = VecDeque::from(["r1"]);
    look(&rig).await.unwrap();
    pass(13 * MINUTE).await;
    look(&rig).await.unwrap();
    assert_eq!(rig.count("refresh"), 0, "it is good for two more minutes");
    pass(MINUTE + SECOND).await;
    look(&rig).await.unwrap();
    let statuses = rig.provider.calls("status");
    assert_eq!(rig.count("refresh"), 1);
    assert_eq!(
        statuses.iter().map(|call| call.with.as_str()).collect::<Vec<_>>(),
        ["access-1", "access-1", "access-2"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_costs_one_login_and_the_call_is_repeated_once() {
    let rig = idle();
    look(&rig).await.unwrap();
    rig.provider.revoke();
    look(&rig).await.unwrap();
    assert_eq!((rig.count("login"), rig.count("status")), (2, 3));
    look(&rig).await.unwrap();
    assert_eq!((rig.count("login"), rig.count("status")), (2, 4), "the new token is kept");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_refused_too_ends_it() {
    let rig = idle();
    rig.provider.world().always.insert("status", answered(Class::Unauthorized, 401));
    assert_eq!(look(&rig).await, Err(Class::Unauthorized));
    assert_eq!((rig.count("login"), rig.count("status")), (2, 2));
    assert_eq!(rig.stalled(), Some(Reason::CredentialsInvalid));
    assert_eq!(look(&rig).await, Err(Class::Unauthorized));
    assert_eq!((rig.count("login"), rig.count("status")), (2, 2), "nothing is sent any more");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_sent_once_a_version_of_the_secret() {
    let mut rig = Rig::idle(password("wrong", "1"));
    rig.becomes("a", Liveness::Connected);
    rig.want("a", false);
    rig.start();
    pass(24 * 60 * MINUTE).await;
    assert_eq!(rig.stalled(), Some(Reason::CredentialsInvalid));
    assert_eq!((rig.count("login"), rig.provider.all()), (1, 1));
    for _ in 0..20 {
        assert_eq!(look(&rig).await, Err(Class::Unauthorized));
        assert!(rig.account.create("B").await.is_err());
        assert!(rig.account.connect(&id("a")).await.is_err());
    }
    assert_eq!(rig.provider.all(), 1, "the sessions' calls are not made");

    rig.account.credentials(password("wrong", "1")).await;
    pass(60 * MINUTE).await;
    assert_eq!(rig.provider.all(), 1, "the same version is the same password");
    rig.account.credentials(password("wrong", "2")).await;
    pass(60 * MINUTE).await;
    assert_eq!(rig.provider.all(), 2, "another version is tried once");
    rig.account.credentials(password(PASSWORD, "3")).await;
    pass(SECOND).await;
    assert_eq!(rig.health(), Health::Ready);
    assert_eq!((rig.count("login"), rig.count("list")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_secret_touched_without_a_change_costs_no_login() {
    let rig = idle();
    look(&rig).await.unwrap();
    rig.account.credentials(password(PASSWORD, "2")).await;
    look(&rig).await.unwrap();
    assert_eq!(rig.count("login"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_old_token_says_nothing_about_new_credentials() {
    let rig = idle();
    rig.provider.world().always.insert("status", answered(Class::Unauthorized, 401));
    rig.provider.world().latency = SECOND;
    let (answer, ()) = tokio::join!(look(&rig), async {
        // The second refusal is on its way when the new password arrives.
        pass(Duration::from_millis(3500)).await;
        assert_eq!((rig.count("login"), rig.count("status")), (2, 2));
        rig.account.credentials(login("b@example.com", PASSWORD, "2")).await;
        rig.provider.world().always.clear();
        rig.provider.fail("status", answered(Class::Unauthorized, 401));
    });
    assert_eq!(answer, Err(Class::Unauthorized));
    assert_eq!(rig.stalled(), None, "the new password was never refused");
    look(&rig).await.unwrap();
    assert_eq!(rig.count("login"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_refresh_token_replaces_the_old_and_none_keeps_it() {
    let rig = idle();
    rig.provider.world().refreshes = VecDeque::from(["r1", "r2"]);
    look(&rig).await.unwrap();
    for _ in 0..3 {
        rig.provider.revoke();
        look(&rig).await.unwrap();
    }
    let refreshes: Vec<String> = rig.provider.calls("refresh").into_iter().map(|call| call.with).collect();
    assert_eq!(refreshes, ["r1", "r2", "r2"]);
    assert_eq!(rig.count("login"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_refresh_falls_back_to_the_password() {
    let rig = idle();
    rig.provider.world().refreshes = VecDeque::from(["r1", "r2"]);
    look(&rig).await.unwrap();
    rig.provider.revoke();
    rig.provider.fail("refresh", answered(Class::Unauthorized, 401));
    look(&rig).await.unwrap();
    assert_eq!((rig.count("login"), rig.count("refresh"), rig.stalled()), (2, 1, None));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_lost_in_an_outage_does_not_send_the_password() {
    let rig = idle();
    rig.provider.world().refreshes = VecDeque::from(["r1"]);
    look(&rig).await.unwrap();
    rig.provider.revoke();
    rig.provider.fail("refresh", answered(Class::Unavailable, 502));
    assert!(look(&rig).await.is_err());
    assert_eq!((rig.count("login"), rig.count("refresh")), (1, 1));
    look(&rig).await.unwrap();
    assert_eq!((rig.count("login"), rig.count("refresh")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_access_token_alone_is_used_until_it_is_refused() {
    let rig = Rig::idle(token("given", None));
    rig.becomes("a", Liveness::Connected);
    look(&rig).await.unwrap();
    assert_eq!(rig.provider.calls("status")[0].with, "given");
    rig.provider.revoke();
    assert_eq!(look(&rig).await, Err(Class::Unauthorized));
    assert_eq!(rig.stalled(), Some(Reason::CredentialsInvalid));
    assert_eq!(rig.provider.all(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_access_token_is_renewed_by_its_refresh_token() {
    let rig = Rig::idle(token("given", Some("r0")));
    rig.becomes("a", Liveness::Connected);
    rig.provider.revoke();
    look(&rig).await.unwrap();
    assert_eq!(rig.provider.calls("refresh")[0].with, "r0");
    assert_eq!((rig.count("login"), rig.count("status")), (0, 2));
}

/// What a login answers must not pass for an answer about the session the call was about.
#[tokio::test(start_paused = true)]
async fn a_failed_login_is_a_call_not_sent() {
    for (class, status) in [
        (Class::NotFound, 404),
        (Class::Conflict, 409),
        (Class::Forbidden, 403),
        (Class::Internal, 500),
        (Class::Unavailable, 502),
        (Class::Unexpected, 302),
    ] {
        let rig = idle();
        rig.provider.fail("login", answered(class, status));
        assert_eq!(look(&rig).await, Err(Class::NotSent), "{class:?}");
        assert!(rig.account.sight(Some(&id("a")), "").absence.is_none(), "{class:?} is no 404 of the session");
        assert_eq!((rig.stalled(), rig.count("status")), (None, 0));
        look(&rig).await.unwrap();
    }
}
