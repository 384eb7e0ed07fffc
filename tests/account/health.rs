//! Answers that are about the whole account.

use whatsapp_operator::{
    account::Health,
    api::Reason,
    provider::{Class, Liveness},
};

use crate::{
    rig::{MINUTE, Rig, SECOND, pass},
    script::{answered, id},
};

#[tokio::test(start_paused = true)]
async fn an_inactive_subscription_or_used_up_requests_are_probed_slowly() {
    for (class, reason) in [
        (Class::SubscriptionInactive, Reason::SubscriptionInactive),
        (Class::RequestLimit, Reason::RequestQuotaExceeded),
    ] {
        let mut rig = Rig::running(&[("a", Liveness::Connected)]).await;
        rig.want("a", false);
        rig.provider.world().always.insert("list", answered(class, 403));
        pass(MINUTE).await;
        assert_eq!(rig.stalled(), Some(reason));
        assert_eq!(rig.woken(), ["a"]);
        let sent = rig.provider.all();
        pass(60 * MINUTE).await;
        assert_eq!(rig.provider.all() - sent, 6, "a probe each ten minutes and nothing else");
        rig.provider.world().always.clear();
        pass(10 * MINUTE).await;
        assert_eq!(rig.health(), Health::Ready);
        assert_eq!(rig.count("usage"), 3, "the plan is looked at when it stops the account and when it no longer does");
        assert_eq!(rig.woken(), ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn any_call_tells_of_an_inactive_subscription() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    rig.provider.fail("connect", answered(Class::SubscriptionInactive, 403));
    assert!(rig.account.connect(&id("a")).await.is_err());
    assert_eq!(rig.stalled(), Some(Reason::SubscriptionInactive));
}

#[tokio::test(start_paused = true)]
async fn one_lost_answer_is_not_news() {
    let mut rig = Rig::running(&[("a", Liveness::Connected)]).await;
    rig.provider.fail("list", answered(Class::Unavailable, 502));
    rig.provider.fail("list", answered(Class::Unavailable, 502));
    pass(6 * MINUTE).await;
    assert_eq!((rig.health(), rig.count("list")), (Health::Ready, 4));
    assert_eq!(rig.woken(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_told_at_once_when_the_socket_needs_a_token() {
    let rig = Rig::running(&[("a", Liveness::Connected)]).await;
    rig.provider.fail("login", answered(Class::Unauthorized, 401));
    rig.provider.revoke();
    rig.provider.hang_up(Class::Unauthorized);
    pass(5 * SECOND).await;
    assert_eq!(rig.stalled(), Some(Reason::CredentialsInvalid));
    let sent = rig.provider.all();
    pass(60 * MINUTE).await;
    assert_eq!(rig.provider.all(), sent);
}

#[tokio::test(start_paused = true)]
async fn an_identity_without_a_name_stays_the_same() {
    let rig = Rig::running(&[]).await;
    // FNV-1a of the e-mail: were it to change, an upgrade would look like another tenant.
    assert_eq!(rig.account.view().identity.as_deref(), Some("email-c3fb7bfbec41e131"));
}

#[tokio::test(start_paused = true)]
async fn stop_ends_the_task() {
    let mut rig = Rig::running(&[("a", Liveness::Connected)]).await;
    let task = rig.task.take().unwrap();
    assert!(!task.is_finished());
    rig.account.stop();
    tokio::time::timeout(SECOND, task).await.unwrap().unwrap();
    let sent = rig.provider.all();
    pass(60 * MINUTE).await;
    assert_eq!(rig.provider.all(), sent);
}
