//! Among replicas that elect a leader: what a leader does is what an operator does that is alone.

use std::time::Duration;

use devkit::{World, release::HOME, rights::Right, world::Options};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt, runtime::wait::await_condition};
use serde_json::json;
use whatsapp_operator::api::WhatsAppSession;

use crate::{OPERATOR, acts};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_its_life_and_the_lease_is_let_go_at_the_end() {
    let mut world = World::with(OPERATOR, Options { leader_elect: true, ..Options::default() }).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;
    let session = world.pair("sales").await;
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), HOME);
    let lease = leases.get(&world.release.name).await.unwrap();
    let renewed = |now: Option<&Lease>| now.is_some_and(|now| now.resource_version() != lease.resource_version());
    acts::soon(&world, "the Lease is renewed", await_condition(leases.clone(), &world.release.name, renewed))
        .await
        .unwrap();
    world.delete::<WhatsAppSession>("sales").await;
    world.until_gone::<WhatsAppSession>("sales", &session.uid().unwrap()).await;

    assert!(world.take_operator().stop(Duration::from_secs(30)).await.unwrap().success());
    let holder = leases.get(&world.release.name).await.unwrap().spec.and_then(|spec| spec.holder_identity);
    assert_eq!(holder.unwrap_or_default(), "");
    // What the chart grants for it is used for it, and nothing was refused.
    let unused = || {
        let rights = world.rights();
        let of_leases = |right: &&Right| right.resource == "leases";
        rights.granted.difference(&rights.used.rights).filter(of_leases).map(Right::to_string).collect::<Vec<_>>()
    };
    let all_used = async {
        while !unused().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    acts::soon(&world, "every right is used", all_used).await;
    let rights = world.rights();
    assert!(rights.granted.iter().any(|right| right.resource == "leases"));
    assert_eq!(rights.used.refused, Vec::<serde_json::Value>::new());
}
