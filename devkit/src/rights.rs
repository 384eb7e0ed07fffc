//! What the chart grants the operator, and what of it the operator uses: the API server's audit log names the role behind
//! each request that it lets through.
#![expect(clippy::indexing_slicing, reason = "a member that a JSON value does not have is null")]

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use crate::release::Scope;

/// A right of a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Kind and name of the role, the release's name left out of it.
    pub role: String,
    /// The API group.
    pub group: String,
    /// The resource, with its subresource.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, group, resource, verb } = self;
        let group = if group.is_empty() { "core" } else { group };
        write!(f, "{verb} {resource} of {group} ({role})")
    }
}

/// A role's name, without that of its release.
fn role(kind: &str, name: &str, release: &str) -> String {
    format!("{kind}{}", name.strip_prefix(release).unwrap_or(name))
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The roles that the objects of a release bind its `ServiceAccount` to, both of the same name.
///
/// # Errors
/// When one of them is not of this release.
pub(crate) fn roles<'a>(objects: &'a [Value], release: &str) -> Result<Vec<&'a Value>, String> {
    let bindings = objects.iter().filter(|object| {
        let subjects = object["subjects"].as_array();
        subjects.is_some_and(|subjects| subjects.iter().any(|s| s["kind"] == "ServiceAccount" && s["name"] == release))
    });
    let role = |binding: &Value| {
        let to = &binding["roleRef"];
        let of = objects.iter().find(|object| {
            let metadata = &object["metadata"];
            object["kind"] == to["kind"]
                && metadata["name"] == to["name"]
                && (to["kind"] == "ClusterRole" || metadata["namespace"] == binding["metadata"]["namespace"])
        });
        of.ok_or_else(|| format!("{to} is not of this release"))
    };
    bindings.map(role).collect()
}

/// What the objects of a release allow its `ServiceAccount`, both of the same name.
///
/// # Errors
/// When a role that it is bound to is not of this release.
pub fn granted(objects: &[Value], release: &str) -> Result<BTreeSet<Right>, String> {
    let mut rights = BTreeSet::new();
    for of in roles(objects, release)? {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let role = role(&text(&of["kind"]), &text(&of["metadata"]["name"]), release);
        for rule in of["rules"].as_array().into_iter().flatten() {
            for group in strings(&rule["apiGroups"]) {
                for resource in strings(&rule["resources"]) {
                    rights.extend(strings(&rule["verbs"]).map(|verb| Right {
                        role: role.clone(),
                        group: group.to_owned(),
                        resource: resource.to_owned(),
                        verb: verb.to_owned(),
                    }));
                }
            }
        }
    }
    Ok(rights)
}

/// What was asked of an API server by operators.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// How many requests there were.
    pub requests: usize,
    /// By whom.
    pub users: BTreeSet<String>,
    /// The rights that let them through.
    pub rights: BTreeSet<Right>,
    /// Those of them that were used for all namespaces at once.
    pub everywhere: BTreeSet<Right>,
    /// Requests that no role of the release let through, but one that everybody has.
    pub by_others: BTreeSet<String>,
    /// Requests that were refused for want of a right or by an admission policy, whole.
    pub refused: Vec<Value>,
}

impl Used {
    /// Takes in one event of the audit log, of a user who is the `ServiceAccount` of a release of the same name.
    pub fn take(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let user = text(&event["user"]["username"]);
        let release = user.rsplit(':').next().unwrap_or_default();
        self.requests += 1;
        if is_refused(event) {
            self.refused.push(event.clone());
        }
        let object = &event["objectRef"];
        let reason = text(&event["annotations"]["authorization.k8s.io/reason"]);
        let by = granting_role(&reason).map(|(kind, name)| (kind, name, role(kind, name, release)));
        match by {
            Some((_, name, role)) if name.starts_with(release) => {
                let sub = text(&object["subresource"]);
                let resource = text(&object["resource"]);
                let right = Right {
                    role,
                    group: text(&object["apiGroup"]),
                    resource: if sub.is_empty() { resource } else { format!("{resource}/{sub}") },
                    verb: text(&event["verb"]),
                };
                if object["namespace"].as_str().is_none_or(str::is_empty) {
                    self.everywhere.insert(right.clone());
                }
                self.rights.insert(right);
            }
            Some((kind, name, _)) => {
                self.by_others.insert(format!(
                    "{} {} ({kind} {name})",
                    text(&event["verb"]),
                    text(&event["requestURI"])
                ));
            }
            None => {}
        }
        self.users.insert(user);
    }
}

/// Both sides.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Where the rights are.
    pub scope: Scope,
    /// What the chart grants.
    pub granted: BTreeSet<Right>,
    /// What was used.
    pub used: Used,
}

impl Comparison {
    /// What is granted and was not used.
    #[must_use]
    pub fn unused(&self) -> Vec<&Right> {
        self.granted.difference(&self.used.rights).collect()
    }

    /// Everything that is not as it should be, in sentences.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let Self { scope, granted, used } = self;
        let mut wrong: Vec<String> = self.unused().iter().map(|right| format!("never used: {right}")).collect();
        wrong
            .extend(used.rights.difference(granted).map(|right| format!("used and not granted by the chart: {right}")));
        let refused = used.refused.iter().map(|event| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (verb, message) = (text(&event["verb"]), text(&event["responseStatus"]["message"]));
            format!("refused: {verb} {}: {message}", text(&event["requestURI"]))
        });
        // A request is made again and again.
        wrong.extend(refused.collect::<BTreeSet<_>>());
        // Who follows one namespace with the rights of all makes other requests.
        if used.everywhere.is_empty() == (*scope == Scope::Cluster) {
            wrong.push(format!("used for all namespaces at once: {:?}", used.everywhere));
        }
        wrong
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Used { requests, users, refused, by_others, .. } = &self.used;
        let (granted, unused, refused) = (self.granted.len(), self.unused().len(), refused.len());
        write!(f, "{granted} rights granted, {unused} not used; {requests} requests of {} operators, ", users.len())?;
        write!(f, "{refused} refused; allowed to everybody: {by_others:?}")
    }
}

/// Kind and name of the role in a sentence of the authorizer's such as `RBAC: allowed by RoleBinding "b/ns" of Role "r" to …`.
fn granting_role(reason: &str) -> Option<(&str, &str)> {
    let (_, role) = reason.strip_prefix("RBAC: allowed by ")?.split_once(" of ")?;
    let (kind, rest) = role.split_once(" \"")?;
    Some((kind, rest.split_once('"')?.0))
}

/// Whether the API server held the user for one who may not do this. What is forbidden to everybody, such as to create
/// something in a namespace that is ending, has the same code.
fn is_refused(event: &Value) -> bool {
    let status = &event["responseStatus"];
    let ending = status["message"].as_str().is_some_and(|message| message.contains("because it is being terminated"));
    event["annotations"]["authorization.k8s.io/decision"] == "forbid"
        || (matches!(status["code"].as_u64(), Some(401 | 403)) && !ending)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(verb: &str, reason: &str, more: &Value) -> Value {
        let mut event = json!({
            "user": {"username": "system:serviceaccount:wa:op"}, "verb": verb, "requestURI": "/x",
            "objectRef": {"resource": "secrets", "namespace": "ns"}, "responseStatus": {"code": 200},
            "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        event
    }

    fn used(events: &[Value]) -> Used {
        let mut used = Used::default();
        for event in events {
            used.take(event);
        }
        used
    }

    #[test]
    fn a_request_uses_the_right_of_the_role_that_let_it_through() {
        let own = r#"RBAC: allowed by RoleBinding "op/ns" of Role "op" to ServiceAccount "op/wa""#;
        let leases = r#"RBAC: allowed by RoleBinding "op-leases/wa" of Role "op-leases" to ServiceAccount "op/wa""#;
        let others = r#"RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated""#;
        let status = json!({"objectRef": {"resource": "things", "subresource": "status", "apiGroup": "g"}});
        let used =
            used(&[event("get", own, &json!({})), event("get", leases, &status), event("list", others, &json!({}))]);
        let rights: Vec<String> = used.rights.iter().map(Right::to_string).collect();
        assert_eq!(rights, ["get secrets of core (Role)", "get things/status of g (Role-leases)"]);
        assert_eq!(used.everywhere.len(), 1, "the one without a namespace");
        assert_eq!(used.by_others, BTreeSet::from(["list /x (ClusterRole system:discovery)".to_owned()]));
        assert_eq!((used.requests, used.users.len(), used.refused.len()), (3, 1, 0));
    }

    #[test]
    fn whoever_is_forbidden_something_is_refused_and_whoever_comes_late_is_not() {
        let denied =
            json!({"annotations": {"authorization.k8s.io/decision": "forbid"}, "responseStatus": {"code": 403}});
        let by_policy =
            json!({"responseStatus": {"code": 403, "message": "ValidatingAdmissionPolicy 'p' denied request"}});
        let unknown = json!({"responseStatus": {"code": 401}});
        let ending = json!({"responseStatus": {"code": 403, "message": "forbidden: … because it is being terminated"}});
        let gone = json!({"responseStatus": {"code": 404}});
        let events = [denied, by_policy, unknown, ending, gone].map(|more| event("create", "", &more));
        assert_eq!(used(&events).refused.len(), 3);
    }

    #[test]
    fn a_release_grants_what_its_account_is_bound_to() {
        let role = |name: &str, verbs: Value| {
            json!({
                "kind": "Role", "metadata": {"name": name, "namespace": "ns"},
                "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}],
            })
        };
        let binding = |name: &str, to: &str| {
            json!({
                "kind": "RoleBinding", "metadata": {"name": name, "namespace": "ns"},
                "roleRef": {"kind": "Role", "name": to}, "subjects": [{"kind": "ServiceAccount", "name": "op"}],
            })
        };
        let objects = [role("op", json!(["get", "update"])), role("op-view", json!(["list"])), binding("op", "op")];
        let rights: Vec<String> = granted(&objects, "op").unwrap().iter().map(Right::to_string).collect();
        assert_eq!(rights, ["get secrets of core (Role)", "update secrets of core (Role)"]);
        assert!(granted(&[binding("op", "admin")], "op").is_err(), "a role that nobody can see into");
    }
}
