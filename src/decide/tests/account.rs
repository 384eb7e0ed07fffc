//! What an account says of itself.

use super::*;
use crate::{
    api::{Reason, WhatsAppAccount, account::SessionCounts},
    decide::{AccountScene, Hindrance, decide_account},
};

#[test]
fn whoever_must_put_credentials_right_is_told_the_command() {
    let account: WhatsAppAccount = serde_json::from_value(serde_json::json!({
        "apiVersion": "actiwapi.com/v1alpha1",
        "kind": "WhatsAppAccount",
        "metadata": {"name": "default", "namespace": "shop", "generation": 1},
        "spec": {"credentialsSecretRef": {"name": "login"}},
    }))
    .unwrap();
    let create = "kubectl create secret generic login --type=actiwapi.com/credentials -n shop --from-literal=email=EMAIL --from-literal=password=PASSWORD";
    let anew = format!("{create} --dry-run=client -o yaml | kubectl apply -f -");
    let again = format!("kubectl delete secret login -n shop && {create}");
    for (reason, command) in [
        (Reason::SecretNotFound, create),
        (Reason::SecretTypeInvalid, &again),
        (Reason::SecretKeyMissing, &anew),
        (Reason::ReadOnlyCredentials, &anew),
        (Reason::CredentialsInvalid, &anew),
    ] {
        let hindrance = Hindrance { reason, message: "why".to_owned(), stalled: true };
        let scene = AccountScene {
            account: &account,
            hindrance: Some(&hindrance),
            view: None,
            sessions: &SessionCounts::default(),
            blocked_by: None,
            now: Stage::new().now,
        };
        let (status, notices) = decide_account(&scene).unwrap();
        let said: Vec<_> = status.conditions.iter().map(|condition| &condition.message).collect();
        assert_eq!(said.len(), 2, "Ready and Stalled");
        assert!(said.iter().all(|message| message.starts_with("why; ")), "{said:?}");
        for told in said.into_iter().chain(notices.iter().map(|notice| &notice.note)) {
            assert!(told.ends_with(&format!(": {command}")), "{told}");
        }
    }
}
