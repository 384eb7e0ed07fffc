//! The operator has the rights that it uses and no others; whatever differs is noticed.

use std::{collections::BTreeSet, time::Duration};

use devkit::{
    World,
    release::{HOME, Scope},
    rights,
    world::Options,
};
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{OPERATOR, client_of, of, until};

/// Every right that the API server says a user has in a namespace: verb, group, resource.
async fn held(world: &World, user: &str, namespace: &str) -> BTreeSet<[String; 3]> {
    let reviews: Api<SelfSubjectRulesReview> = Api::all(client_of(world, user));
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let status = reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap();
    assert!(!status.incomplete, "{status:?}");
    let mut held = BTreeSet::new();
    for rule in status.resource_rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                held.extend(rule.verbs.iter().map(|verb| [verb, group, resource].map(Clone::clone)));
            }
        }
    }
    held
}

/// What the operator's account may do and an account without any role may not.
async fn own(world: &World, namespace: &str) -> BTreeSet<[String; 3]> {
    let common = held(world, "system:serviceaccount:default:nobody", namespace).await;
    held(world, &world.release.user(), namespace).await.difference(&common).cloned().collect()
}

async fn world(scope: Scope) -> World {
    World::with(OPERATOR, Options { without_operator: true, ..of(scope) }).await
}

/// What the chart grants by these roles.
fn granted(world: &World, roles: &[&str]) -> BTreeSet<[String; 3]> {
    let granted = rights::granted(&world.release.objects, &world.release.name).unwrap();
    let of_roles = granted.into_iter().filter(|right| roles.contains(&right.role.as_str()));
    let rights: BTreeSet<_> = of_roles.map(|right| [right.verb, right.group, right.resource]).collect();
    assert!(!rights.is_empty(), "{roles:?}");
    rights
}

const LEASES: &str = "Role-leader-election";

#[tokio::test(flavor = "multi_thread")]
async fn with_a_list_of_namespaces_its_rights_are_those_of_the_chart_and_end_at_the_namespace() {
    let world = world(Scope::Namespaces).await;
    assert_eq!(own(&world, &world.namespace).await, granted(&world, &["Role"]));
    assert_eq!(own(&world, HOME).await, granted(&world, &[LEASES]));
    for other in ["default", "kube-system"] {
        assert_eq!(own(&world, other).await, BTreeSet::new(), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_wide_its_rights_are_those_of_the_chart_everywhere() {
    let world = world(Scope::Cluster).await;
    for namespace in [&world.namespace, "kube-system"] {
        assert_eq!(own(&world, namespace).await, granted(&world, &["ClusterRole"]), "{namespace}");
    }
    assert_eq!(own(&world, HOME).await, granted(&world, &["ClusterRole", LEASES]));
}

/// Changes the verbs of the rule about this resource, wherever the operator has it.
fn change(objects: &mut [Value], resource: &str, change: impl Fn(&mut Vec<Value>)) {
    let rules = objects
        .iter_mut()
        .filter(|object| object["kind"] == "Role")
        .flat_map(|role| role["rules"].as_array_mut().into_iter().flatten());
    let mut changed = 0;
    for rule in rules.filter(|rule| rule["resources"][0] == resource) {
        change(rule["verbs"].as_array_mut().unwrap());
        changed += 1;
    }
    assert_eq!(changed, 1);
}

/// A world in which an operator with other rights has lived its life. A watch is told in the audit log when it ends.
async fn lived(change: fn(&mut Vec<Value>)) -> World {
    let options = Options { leader_elect: true, change_release: Some(change), ..of(Scope::Namespaces) };
    let mut world = World::with(OPERATOR, options).await;
    world.whole_life().await;
    assert!(world.take_operator().stop(Duration::from_secs(20)).await.unwrap().success());
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_too_many_is_noticed() {
    let more = |objects: &mut Vec<Value>| change(objects, "secrets", |verbs| verbs.push(json!("list")));
    let world = lived(more).await;
    let wrong = until(async || world.rights().wrong(), |wrong| wrong.len() == 1).await;
    assert_eq!(wrong, ["never used: list secrets of core (Role)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_too_few_is_noticed() {
    let less = |objects: &mut Vec<Value>| change(objects, "events", |verbs| verbs.retain(|verb| verb != "patch"));
    // Without an Event that is changed it does its work all the same.
    let world = lived(less).await;
    let told =
        |wrong: &Vec<String>| !wrong.is_empty() && wrong.iter().all(|sentence| sentence.starts_with("refused: "));
    let wrong = until(async || world.rights().wrong(), told).await;
    assert!(
        wrong.iter().all(|s| s.contains("cannot patch resource \"events\" in API group \"events.k8s.io\"")),
        "{wrong:?}"
    );
}
