//! Every manifest that cannot work is refused at once, with a message that says what to do.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind, merge};

/// What is put over the smallest accepted object, and a part of the answer.
type Case = (Value, &'static str);

fn spec(spec: &Value, says: &'static str) -> Case {
    (json!({ "spec": spec }), says)
}

async fn all_are_refused(cluster: &Cluster, kind: Kind, cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for (patch, says) in cases {
        let mut object = kind.minimal("refused");
        merge(&mut object, &patch);
        match cluster.try_create(kind, &object).await {
            Ok(_) => wrong.push(format!("accepted: {patch}")),
            Err(said) if said.contains(says) => {}
            Err(said) => wrong.push(format!("{patch}\n  said:     {said}\n  expected: {says}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const SCHEME: &str = "must begin with https://, as in https://api.actiwapi.com";
const URL: &str = "must be a scheme, a host, and if need be a port and a path: https://api.actiwapi.com or https";
const DURATION: &str = "must be a duration from 10s to 24h, such as";
const NAME: &str = "must not be empty and have no control characters, no leading, trailing or double spaces; to use metadata.name, leave it out";
const PREFIX: &str = "must have no control characters, no leading and no double spaces, as in 'shop-' or 'ACME '";
const OBJECT: &str =
    "must be the name of an object in the same namespace: lower-case letters, digits, '-' and '.', as in default";
const SECRET: &str = "must be a name that a Secret can have: lower-case letters, digits, '-' and '.', as in sales-qr";
const ID: &str = "must be a session id as the provider shows it, 1 to 64 letters, digits, '_' or '-'; to have a session created, leave it out";
const PATH: &str = "must be an absolute path such as /socket.io/, without host, query, '.' or '..'";

fn long(length: usize) -> String {
    "x".repeat(length)
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    let cluster = Cluster::with_namespace("refused-accounts").await;
    let url = |url: &str, says| spec(&json!({ "baseUrl": url }), says);
    let poll = |value: Value, says| spec(&json!({ "pollInterval": value }), says);
    let too_long = format!("https://{}.example.com", long(240));
    let cases = vec![
        url("", SCHEME),
        url("api.actiwapi.com", SCHEME),
        url("ftp://api.actiwapi.com", SCHEME),
        url("wss://api.actiwapi.com", SCHEME),
        url("HTTPS://api.actiwapi.com", SCHEME),
        url("https://user:hunter2@api.actiwapi.com", "must hold no user or password: put credentials into the Secret"),
        url("https://user@api.actiwapi.com", "must hold no user or password: put credentials into the Secret"),
        url("https://api.actiwapi.com?tenant=1", "must have no query and no fragment: remove everything from '?'"),
        url("https://api.actiwapi.com/#top", "must have no query and no fragment: remove everything from '?'"),
        url("https://", URL),
        url("https:///path", URL),
        url("https://api.actiwapi.com.", URL),
        url("https://api..actiwapi.com", URL),
        url("https://api.actiwapi.com:99999", URL),
        url("https://api.actiwapi.com:0", URL),
        url("https://api.actiwapi.com:https", URL),
        url("https://api.actiwapi.com/a/../b", URL),
        url("https://api.actiwapi.com/..", URL),
        url("https://api.actiwapi.com//b", URL),
        url("https://api.actiwapi.com/%2e%2e", URL),
        url("https://api actiwapi.com", URL),
        url("https://api.actiwapi.com\n", URL),
        url("https://[::1]:8080", URL),
        url("https://[fe80::1%25eth0]", URL),
        url("https://\u{430}pi.actiwapi.com", URL),
        url("https://api.actiwapi.com\\@evil.example.com", "must hold no user or password"),
        url("https://api.actiwapi.com\\evil", URL),
        url("https://api.actiwapi.com%2eevil.example.com", URL),
        url("https://api.actiwapi.com:443:443", URL),
        url("https://api\t.actiwapi.com", URL),
        url(" https://api.actiwapi.com", SCHEME),
        url(&too_long, "spec.baseUrl: Too long: may not be more than 253"),
        spec(&json!({"credentialsSecretRef": null}), "spec.credentialsSecretRef: Required value"),
        spec(&json!({"credentialsSecretRef": {"name": null}}), "spec.credentialsSecretRef.name: Required value"),
        spec(&json!({"credentialsSecretRef": {"name": ""}}), OBJECT),
        spec(&json!({"credentialsSecretRef": {"name": "My_Secret"}}), OBJECT),
        spec(&json!({"credentialsSecretRef": {"name": "a..b"}}), OBJECT),
        spec(
            &json!({"credentialsSecretRef": {"namespace": "other"}}),
            "unknown field \"spec.credentialsSecretRef.namespace\"",
        ),
        poll(json!(""), DURATION),
        poll(json!("ten"), DURATION),
        poll(json!("60"), DURATION),
        poll(json!("1d"), DURATION),
        poll(json!("-60s"), DURATION),
        poll(json!("1.5m"), DURATION),
        poll(json!("9s"), DURATION),
        poll(json!("9999ms"), DURATION),
        poll(json!("24h1s"), DURATION),
        poll(json!("9999999999999999999h"), DURATION),
        poll(json!("999999h999999h99999h"), DURATION),
        poll(json!("1s".repeat(11)), "spec.pollInterval: Too long: may not be more than 20"),
        poll(json!(60), "spec.pollInterval in body must be of type string"),
        spec(&json!({"settledPollInterval": "5s"}), DURATION),
        spec(&json!({"settledPollInterval": "often"}), DURATION),
        spec(
            &json!({"settledPollInterval": "30s"}),
            "spec.settledPollInterval must be at least spec.pollInterval (unless set: 60s): raise it",
        ),
        spec(
            &json!({"pollInterval": "10m", "settledPollInterval": "5m"}),
            "spec.settledPollInterval must be at least spec.pollInterval (unless set: 60s): raise it",
        ),
        spec(
            &json!({"rateLimit": {"requestsPerSecond": 0}}),
            "requestsPerSecond in body should be greater than or equal to 1",
        ),
        spec(
            &json!({"rateLimit": {"requestsPerSecond": 1001}}),
            "requestsPerSecond in body should be less than or equal to 1000",
        ),
        spec(&json!({"rateLimit": {"requestsPerSecond": 0.5}}), "requestsPerSecond in body must be of type int32"),
        spec(&json!({"rateLimit": {"burst": -1}}), "burst in body should be greater than or equal to 1"),
        spec(&json!({"rateLimit": {"burst": "10"}}), "burst in body must be of type integer"),
        spec(&json!({"sessionNamePrefix": " shop"}), PREFIX),
        spec(&json!({"sessionNamePrefix": " "}), PREFIX),
        spec(&json!({"sessionNamePrefix": "my  shop"}), PREFIX),
        spec(&json!({"sessionNamePrefix": "shop  "}), PREFIX),
        spec(&json!({"sessionNamePrefix": "shop\u{7}"}), PREFIX),
        spec(&json!({"sessionNamePrefix": "shop\n"}), PREFIX),
        spec(&json!({"sessionNamePrefix": long(41)}), "spec.sessionNamePrefix: Too long: may not be more than 40"),
        spec(&json!({"url": "https://api.actiwapi.com"}), "unknown field \"spec.url\""),
        (json!({"spec": null}), "spec: Required value"),
    ];
    all_are_refused(&cluster, Kind::Account, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_of_accounts() {
    let cluster = Cluster::with_namespace("refused-events").await;
    let events = |events: Value, says| spec(&json!({ "events": events }), says);
    let many: Vec<String> = (0..17).map(|n| format!("event-{n}")).collect();
    let cases = vec![
        events(json!({"path": ""}), PATH),
        events(json!({"path": "/"}), PATH),
        events(json!({"path": "socket.io"}), PATH),
        events(json!({"path": "//evil.example.com/socket.io"}), PATH),
        events(json!({"path": "https://evil.example.com/"}), PATH),
        events(json!({"path": "/socket.io/?token=1"}), PATH),
        events(json!({"path": "/../admin"}), PATH),
        events(json!({"path": "/a/.."}), PATH),
        events(json!({"path": "/./a"}), PATH),
        events(json!({"path": "/a//b"}), PATH),
        events(json!({"path": "/%2e%2e/admin"}), PATH),
        events(json!({"path": "/@evil.example.com"}), PATH),
        events(json!({"path": "/a#b"}), PATH),
        events(json!({"path": "/a\\b"}), PATH),
        events(json!({"path": "/a\n"}), PATH),
        events(json!({"path": format!("/{}", long(100))}), "spec.events.path: Too long: may not be more than 100"),
        events(json!({"namespace": ""}), "must begin with '/' and hold letters, digits"),
        events(json!({"namespace": "whatsapp"}), "must begin with '/' and hold letters, digits"),
        events(json!({"namespace": "/a,b"}), "must begin with '/' and hold letters, digits"),
        events(json!({"namespace": "/?token=1"}), "must begin with '/' and hold letters, digits"),
        events(json!({"enabled": "yes"}), "spec.events.enabled in body must be of type boolean"),
        events(json!({"subscribe": many}), "spec.events.subscribe: Too many: 17: must have at most 16 items"),
        events(json!({"subscribe": ["a", "a"]}), "spec.events.subscribe[1]: Duplicate value: \"a\""),
        events(json!({"qrEvents": [""]}), "spec.events.qrEvents[0] in body should be at least 1 chars long"),
        events(json!({"statusEvents": [long(65)]}), "spec.events.statusEvents[0]: Too long: may not be more than 64"),
        events(json!({"room": "x"}), "unknown field \"spec.events.room\""),
    ];
    all_are_refused(&cluster, Kind::Account, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions() {
    let cluster = Cluster::with_namespace("refused-sessions").await;
    let name = |name: &str, says| spec(&json!({ "displayName": name }), says);
    let id = |id: &str, says| spec(&json!({ "sessionId": id }), says);
    let pairing = |pairing: Value, says| spec(&json!({ "pairing": pairing }), says);
    let cases = vec![
        name("", NAME),
        name(" ", NAME),
        name(" Sales", NAME),
        name("Sales ", NAME),
        name("Sales  team", NAME),
        name("Sales\tteam", NAME),
        name("Sales\nteam", NAME),
        name("Sales\u{0}", NAME),
        name("Sales\u{85}", NAME),
        name("\u{a0}Sales", NAME),
        name("Sales\u{2028}team", NAME),
        name("Sales \u{3000}team", NAME),
        name(&long(101), "spec.displayName: Too long: may not be more than 100"),
        spec(&json!({"displayName": 7}), "spec.displayName in body must be of type string"),
        id("", ID),
        id("a b", ID),
        id("a/b", ID),
        id("..", ID),
        id("../x", ID),
        id("%2e%2e", ID),
        id("a?b", ID),
        id("\u{202e}a", ID),
        id("a\n", ID),
        id("sess\u{e4}", ID),
        id(&long(65), "spec.sessionId: Too long: may not be more than 64"),
        spec(
            &json!({"desiredState": "connected"}),
            "spec.desiredState: Unsupported value: \"connected\": supported values: \"Connected\", \"Disconnected\"",
        ),
        spec(
            &json!({"deletionPolicy": "Delete"}),
            "spec.deletionPolicy: Unsupported value: \"Delete\": supported values: \"Disconnect\", \"Orphan\"",
        ),
        pairing(
            json!({"mode": "Manual"}),
            "spec.pairing.mode: Unsupported value: \"Manual\": supported values: \"Auto\", \"OnRequest\"",
        ),
        pairing(json!({"window": ""}), DURATION),
        pairing(json!({"window": "0s"}), DURATION),
        pairing(json!({"window": "forever"}), DURATION),
        pairing(json!({"window": "25h"}), DURATION),
        pairing(json!({"window": 600}), "spec.pairing.window in body must be of type string"),
        pairing(json!({"secretName": ""}), SECRET),
        pairing(json!({"secretName": "Sales_QR"}), SECRET),
        pairing(json!({"secretName": "-sales"}), SECRET),
        pairing(json!({"secretName": "sales.-qr"}), SECRET),
        pairing(json!({"secretName": long(254)}), "spec.pairing.secretName: Too long: may not be more than 253"),
        pairing(json!({"secretname": "sales"}), "unknown field \"spec.pairing.secretname\""),
        pairing(json!({"publishInStatus": "true"}), "spec.pairing.publishInStatus in body must be of type boolean"),
        spec(&json!({"suspend": "yes"}), "spec.suspend in body must be of type boolean"),
        spec(&json!({"accountRef": {}}), "spec.accountRef.name: Required value"),
        spec(&json!({"accountRef": {"name": ""}}), OBJECT),
        spec(&json!({"accountRef": {"name": "Default"}}), OBJECT),
        spec(&json!({"accountRef": "default"}), "spec.accountRef in body must be of type object"),
        spec(
            &json!({"accountRef": {"name": "default", "namespace": "other"}}),
            "unknown field \"spec.accountRef.namespace\"",
        ),
        spec(&json!({"phoneNumber": "919876543210"}), "unknown field \"spec.phoneNumber\""),
        (
            json!({"metadata": {"name": long(64)}}),
            "metadata.name has at most 63 characters: choose a shorter one and put the long form into spec.displayName",
        ),
        (json!({"metadata": {"name": "Sales"}}), "metadata.name: Invalid value: \"Sales\""),
    ];
    all_are_refused(&cluster, Kind::Session, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_mistake_is_named() {
    let cluster = Cluster::with_namespace("one-mistake").await;
    for url in ["ftp://user@api.actiwapi.com", "https://user:hunter2@api.actiwapi.com", "https://api.actiwapi.com?a=b"]
    {
        let mut account = Kind::Account.minimal("refused");
        merge(&mut account, &json!({"spec": {"baseUrl": url}}));
        let said = cluster.try_create(Kind::Account, &account).await.unwrap_err();
        assert!(!said.contains("must be a scheme, a host"), "{said}");
    }
    let mut account = Kind::Account.minimal("refused");
    merge(&mut account, &json!({"spec": {"settledPollInterval": "often"}}));
    let said = cluster.try_create(Kind::Account, &account).await.unwrap_err();
    assert!(!said.contains("must be at least"), "{said}");
    assert!(!said.contains("evaluation error") && !said.contains("no such overload"), "{said}");
}
