//! The rights that the chart gives, as rendered.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{NAMESPACE, Objects, RELEASE, render, render_with, rendered, strings, title, values_files};

/// Group, resource with subresource, verb.
type Right = (String, String, String);

/// What the roles that the operator's account is bound to allow.
fn granted(objects: &Objects) -> BTreeSet<Right> {
    let bindings = objects.0.iter().filter(|object| object["subjects"][0]["kind"] == "ServiceAccount");
    let mut rights = BTreeSet::new();
    for binding in bindings {
        let bound = |role: &&Value| {
            role["kind"] == binding["roleRef"]["kind"]
                && role["metadata"]["name"] == binding["roleRef"]["name"]
                && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
        };
        let role = objects.0.iter().find(bound).unwrap_or_else(|| panic!("{} binds nothing", title(binding)));
        for rule in role["rules"].as_array().unwrap() {
            for group in strings(&rule["apiGroups"]) {
                for resource in strings(&rule["resources"]) {
                    for verb in strings(&rule["verbs"]) {
                        rights.insert((group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
    }
    rights
}

/// Those of a kind, by namespace and name.
fn places(objects: &Objects, kind: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = |object: &&Value| (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    objects.of_kind(kind).iter().map(place).collect()
}

fn is_of_rights(kind: &&str) -> bool {
    kind.contains("Role") || kind.contains("Policy")
}

#[tokio::test]
async fn a_list_of_namespaces_means_no_cluster_scoped_object() {
    let objects = rendered("watchNamespaces={sales,support},crds.enabled=false").await;
    let outside: Vec<String> =
        objects.0.iter().filter(|object| !object["metadata"]["namespace"].is_string()).map(title).collect();
    assert!(outside.is_empty(), "{outside:?}");
    // A kind that belongs to the cluster could carry a namespace all the same.
    let cluster_scoped = ["Cluster", "CustomResource", "Admission", "Namespace", "PriorityClass"];
    let kinds = objects.kinds();
    assert!(kinds.iter().all(|kind| !cluster_scoped.iter().any(|word| kind.contains(word))), "{kinds:?}");
}

#[tokio::test]
async fn each_namespace_of_the_list_has_its_role_and_the_lease_one_of_its_own() {
    let objects = rendered("watchNamespaces={sales,support}").await;
    let expected = [("sales", RELEASE), ("support", RELEASE), (NAMESPACE, "whatsapp-operator-leader-election")];
    let mut expected = expected.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())).to_vec();
    expected.sort();
    for kind in ["Role", "RoleBinding"] {
        let mut found = places(&objects, kind);
        found.sort();
        assert_eq!(found, expected, "{kind}");
    }
    for binding in objects.of_kind("RoleBinding") {
        let subject = json!([{"kind": "ServiceAccount", "name": RELEASE, "namespace": NAMESPACE}]);
        assert_eq!(binding["subjects"], subject);
    }
}

#[tokio::test]
async fn a_list_gives_in_each_namespace_what_is_otherwise_given_everywhere() {
    let everywhere = Objects::parse(&render(&[]).await);
    let listed = rendered("watchNamespaces={sales,support}").await;
    assert_eq!(granted(&everywhere), granted(&listed));
    let rules = |objects: &Objects, kind: &str| {
        let named = |role: &&&Value| role["metadata"]["name"] == RELEASE;
        objects.of_kind(kind).iter().filter(named).map(|role| role["rules"].clone()).collect::<Vec<_>>()
    };
    let one = rules(&everywhere, "ClusterRole");
    assert_eq!(rules(&listed, "Role"), [one[0].clone(), one[0].clone()]);
    assert_eq!(places(&everywhere, "Role"), [(NAMESPACE.to_owned(), "whatsapp-operator-leader-election".to_owned())]);
}

#[tokio::test]
async fn of_leases_the_operator_may_create_and_then_touch_its_own_only() {
    let rights = async |values: &str| {
        let rights = granted(&rendered(values).await);
        rights.into_iter().filter(|(_, resource, _)| resource == "leases").map(|(_, _, verb)| verb).collect::<Vec<_>>()
    };
    assert_eq!(rights("fullnameOverride=wa").await, ["create", "get", "update"]);
    assert!(rights("leaderElection.enabled=false").await.is_empty());
    let objects = rendered("fullnameOverride=wa").await;
    let rules = objects.the("Role")["rules"].as_array().unwrap();
    for rule in rules {
        let names = if strings(&rule["verbs"]) == ["create"] { Value::Null } else { json!(["wa"]) };
        assert_eq!(rule["resourceNames"], names);
    }
    assert!(objects.args().contains(&"--lease-name=wa".to_owned()));
}

#[tokio::test]
async fn nobody_may_do_everything_nor_list_or_watch_secrets() {
    let mut renders = vec![render(&[]).await];
    for file in values_files() {
        renders.push(render_with(&file).await);
    }
    for rendered in renders {
        for (group, resource, verb) in granted(&Objects::parse(&rendered)) {
            assert!(![&group, &resource, &verb].contains(&&"*".to_owned()), "{group} {resource} {verb}");
            assert!(resource != "secrets" || !["list", "watch", "deletecollection"].contains(&verb.as_str()), "{verb}");
        }
    }
}

#[tokio::test]
async fn people_get_rights_only_where_the_cluster_does_and_never_to_status_or_secrets() {
    let of_people = |objects: &Objects| {
        let aggregated = |role: &&&Value| role["metadata"]["name"] != RELEASE;
        objects.of_kind("ClusterRole").into_iter().filter(|role| aggregated(&role)).cloned().collect::<Vec<Value>>()
    };
    let both = of_people(&Objects::parse(&render(&[]).await));
    let labels = ["rbac.authorization.k8s.io/aggregate-to-edit", "rbac.authorization.k8s.io/aggregate-to-view"];
    assert_eq!(both.len(), 2);
    for label in labels {
        assert_eq!(both.iter().filter(|role| role["metadata"]["labels"][label] == "true").count(), 1, "{label}");
    }
    for role in &both {
        assert_eq!(role["rules"][0]["resources"], json!(["whatsappaccounts", "whatsappsessions"]));
        assert_eq!(role["rules"].as_array().unwrap().len(), 1);
    }
    for (values, left) in [("rbac.aggregateToView=false", labels[0]), ("rbac.aggregateToEdit=false", labels[1])] {
        let roles = of_people(&rendered(values).await);
        assert_eq!(roles.len(), 1);
        assert_eq!(roles[0]["metadata"]["labels"][left], "true");
    }
    assert!(of_people(&rendered("watchNamespaces={sales}").await).is_empty());
}

#[tokio::test]
async fn whoever_manages_rights_elsewhere_gets_none_from_here() {
    for mode in ["", ",watchNamespaces={sales}"] {
        let objects = rendered(&format!("rbac.create=false{mode}")).await;
        let kinds = objects.kinds();
        assert!(!kinds.iter().any(is_of_rights), "{kinds:?}");
        assert_eq!(objects.pod()["spec"]["serviceAccountName"], RELEASE);
        assert_eq!(objects.of_kind("ServiceAccount").len(), 1);
    }
}

#[tokio::test]
async fn an_account_that_exists_gets_the_rights_and_runs_the_pod() {
    for (values, name) in [
        ("serviceAccount.create=false,serviceAccount.name=robot", "robot"),
        ("serviceAccount.name=robot", "robot"),
        ("", RELEASE),
    ] {
        let objects = rendered(values).await;
        let accounts = places(&objects, "ServiceAccount");
        let created = !values.contains("create=false");
        assert_eq!(accounts, if created { vec![(NAMESPACE.to_owned(), name.to_owned())] } else { vec![] }, "{values}");
        assert_eq!(objects.pod()["spec"]["serviceAccountName"], name, "{values}");
        for kind in ["RoleBinding", "ClusterRoleBinding"] {
            assert_eq!(objects.the(kind)["subjects"][0]["name"], name, "{values}");
        }
        let policy = &objects.the("ValidatingAdmissionPolicy")["spec"]["matchConditions"][0]["expression"];
        assert_eq!(*policy, format!("request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{name}'"));
    }
    assert_eq!(rendered("serviceAccount.automount=false").await.pod()["spec"]["automountServiceAccountToken"], false);
}
