//! No token, password, QR or pairing code where it does not belong.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use actiwapi_sim::{
    Config,
    config::DEFAULT_TENANT as DEMO,
    state::{
        Effect, Reply, Request, codes,
        events::Part,
        faults::{Fault, FaultAction, Route},
        tenant::{Dialect, TenantSettings},
    },
};
use devkit::{
    World,
    world::{Options, condition, text},
};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret},
    events::v1::Event,
};
use kube::{ResourceExt, api::ListParams, core::NamespaceResourceScope};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

use crate::OPERATOR;

const PHONE: &str = "919812345678";
const WRONG: &str = "wrong-canary-password";

/// What may be found nowhere but where it belongs.
struct Canaries {
    /// Credentials of the provider: nowhere but in the Secrets that people made.
    credentials: Vec<String>,
    /// Codes: nowhere but in the Secret of their session, while they are shown.
    codes: Vec<String>,
    emitted: Receiver<Effect>,
}

impl Canaries {
    /// Takes in every code that the provider has sent since.
    fn listen(&mut self) {
        while let Ok(effect) = self.emitted.try_recv() {
            let Effect::Emit { event, .. } = effect else { continue };
            let [Part::Json(Value::Object(members))] = &event.args[..] else { continue };
            if let Some(code) = Value::Object(members.clone()).pointer("/data/qrcode/code").and_then(Value::as_str) {
                self.codes.push(code.to_owned());
                self.codes.push(codes::pairing_code(code));
                self.codes.push(codes::pairing_code(code).replace('-', ""));
                // A part of it is as bad.
                self.codes.extend(code.split(',').map(str::to_owned));
            }
        }
    }

    /// Makes sure that a text holds none of them. It is not printed.
    fn absent(&self, place: &str, content: &str) {
        for canary in self.credentials.iter().chain(&self.codes) {
            assert!(!content.contains(canary.as_str()), "{place} holds {:?}…", &canary[..4]);
        }
        // All access tokens here are JWTs.
        assert!(!content.contains("eyJ"), "{place} holds a JWT");
    }

    /// Looks everywhere.
    async fn check(&mut self, world: &World) {
        self.listen();
        let log = world.log();
        self.absent("the log", &log);
        assert!(!log.contains(PHONE), "the log holds the phone number");
        let events = list::<Event>(world).await;
        self.absent("an Event", &events.to_string());
        assert!(!events.to_string().contains(PHONE), "an Event holds the phone number");
        self.absent("an account", &list::<WhatsAppAccount>(world).await.to_string());
        let mut sessions = list::<WhatsAppSession>(world).await;
        for session in sessions.as_array_mut().unwrap() {
            if let Some(status) = session.get_mut("status").and_then(Value::as_object_mut) {
                status.remove("phoneNumber");
            }
        }
        self.absent("a session", &sessions.to_string());
        assert!(!sessions.to_string().contains(PHONE), "a session holds the phone number elsewhere than in its place");
        self.absent("a ConfigMap", &list::<ConfigMap>(world).await.to_string());
        for secret in world.api::<Secret>().list(&ListParams::default()).await.unwrap() {
            let place = secret.name_any();
            let kind = secret.type_.clone().unwrap_or_default();
            for key in secret.data.clone().unwrap_or_default().keys() {
                let content = text(&secret, key).unwrap();
                let holds = |canaries: &[String]| canaries.iter().any(|canary| content.contains(canary.as_str()));
                assert!(!holds(&self.codes) || kind == "actiwapi.com/qr", "{place} holds a code");
                assert!(!holds(&self.credentials) || kind == "actiwapi.com/credentials", "{place} holds a credential");
            }
        }
    }
}

async fn list<K>(world: &World) -> Value
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    let all = world.api::<K>().list(&ListParams::default()).await.unwrap();
    serde_json::to_value(all.items).unwrap()
}

/// A login that the operator knows nothing of: access and refresh token.
fn tokens(world: &World, tenant: &str) -> [String; 2] {
    let keys = json!({"email": format!("{tenant}@example.com"), "password": format!("{tenant}-password")});
    let login = Request::new("POST", "/api/auth/login").json(&keys);
    let Reply::Answer(answer) = world.sim.with(|provider| provider.exchange(&login)) else { panic!("no login") };
    let token = |name: &str| answer.value()["data"][name].as_str().unwrap().to_owned();
    [token("accessToken"), token("refreshToken")]
}

fn echo(status: u16, message: String) -> FaultAction {
    FaultAction::Status { status, code: None, message: Some(message), retry_after: None, apply: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_with_all_its_troubles_leaves_no_secret_where_it_does_not_belong() {
    let mut tenant = TenantSettings { dialect: Dialect::Wrapped, ..TenantSettings::default() };
    tenant.timings.qr_first = Duration::from_secs(4);
    tenant.timings.qr_next = Duration::from_secs(30);
    let simulator = Config { tenant, ..Config::default() };
    // The harness logs at trace.
    let world = World::with(OPERATOR, Options { simulator, ..Options::default() }).await;
    for name in ["token", "wrong"] {
        let settings = TenantSettings { dialect: Dialect::Wrapped, ..TenantSettings::named(name) };
        world.sim.put_tenant(name, settings).unwrap();
    }
    let [access, refresh] = tokens(&world, "token");
    let known = [&access, &refresh, WRONG, "demo-password", "awp_demo", "demo@example.com", "wrong@example.com"];
    let credentials = known.map(str::to_owned).to_vec();
    let mut canaries = Canaries { credentials, codes: Vec::new(), emitted: world.sim.subscribe() };

    // Every call of one tenant may be answered with what was sent.
    let keys = json!({"accessToken": access, "refreshToken": refresh});
    world.credentials("token-credentials", keys).await;
    let both = format!("neither {access} nor {refresh}");
    world
        .sim
        .arm(Fault::on(Route::Socket, FaultAction::Refuse { message: Some(both.clone()) }).tenant("token").times(1));
    world.sim.arm(Fault::on(Route::List, echo(502, both.clone())).tenant("token").times(1));
    world.sim.arm(Fault::on(Route::Create, echo(400, format!("{access} may not"))).tenant("token").times(1));
    world.sim.arm(Fault::on(Route::Connect, echo(502, both.clone())).tenant("token").times(1));
    world.sim.arm(Fault::on(Route::Usage, echo(500, both)).tenant("token").times(1));
    world.bare_account("token", json!({})).await;
    world.session("echo", json!({"accountRef": {"name": "token"}})).await;
    // One login is refused with the password in the answer.
    world.credentials("wrong-credentials", json!({"email": "wrong@example.com", "password": WRONG})).await;
    world.sim.arm(Fault::on(Route::Login, echo(401, format!("{WRONG} is wrong"))).tenant("wrong"));
    world.bare_account("wrong", json!({})).await;
    // And one life is as good as it gets.
    let keys = json!({"email": "demo@example.com", "password": "demo-password", "apiKey": "awp_demo"});
    world.credentials("default-credentials", keys).await;
    world.bare_account("default", json!({})).await;
    world.session("sales", json!({})).await;

    let first = world.until_qr("sales").await;
    canaries.check(&world).await;
    let renewed = |secret: &Secret| text(secret, "qr").is_some_and(|code| text(&first, "qr") != Some(code));
    let second = world.until("sales-qr", "the next code", renewed).await;
    assert!(text(&second, "pairingCode").is_some());
    canaries.check(&world).await;
    world.sim.arm(Fault::on(Route::Status, FaultAction::Garbage).tenant(DEMO).times(1));
    world.sim.scan_code(&text(&second, "qr").unwrap(), Some(PHONE)).unwrap();
    let session = world.until_condition("sales", "Ready", "True", "Connected").await;
    assert_eq!(session.status.unwrap().phone_number.as_deref(), Some(PHONE));
    world.sim.log_out("sales").unwrap();
    world.until_condition("sales", "Stalled", "True", "LoggedOut").await;
    let asked = json!({"metadata": {"annotations": {"actiwapi.com/pair-requested-at": "now"}}});
    world.patch::<WhatsAppSession>("sales", asked).await;
    world.until_qr("sales").await;
    canaries.check(&world).await;

    world.until_account("wrong", "Stalled", "True", "CredentialsInvalid").await;
    let session = world.until_condition("echo", "Stalled", "True", "InvalidRequest").await;
    assert!(condition(&session, "Ready").unwrap().message.contains("may not"));
    world.patch::<WhatsAppSession>("echo", json!({"spec": {"pairing": {"window": "9m"}}})).await;
    world.until_condition("echo", "Reconciling", "True", "Retrying").await;
    world.pair("echo").await;
    world.delete::<WhatsAppSession>("sales").await;
    let uid = world.api::<Secret>().get_opt("sales-qr").await.unwrap().and_then(|secret| secret.uid());
    if let Some(uid) = uid {
        world.until_gone::<Secret>("sales-qr", &uid).await;
    }
    canaries.check(&world).await;
    assert!(canaries.codes.len() > 20, "several codes were heard: {}", canaries.codes.len());
    assert!(world.log().contains("TRACE"), "the log is at trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qr_in_the_status_is_refused_unless_the_operator_allows_it() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.session("sales", json!({"pairing": {"publishInStatus": true}})).await;
    let session = world.until_condition("sales", "Stalled", "True", "NotAllowed").await;
    assert!(condition(&session, "Ready").unwrap().message.contains("--allow-qr-in-status"));
    world.until_event("sales", "NotAllowed").await;
    assert_eq!(session.status.unwrap().pairing.and_then(|pairing| pairing.qr), None);
    assert_eq!(world.sim.count(Route::Connect), 0);
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"pairing": {"publishInStatus": null}}})).await;
    world.until_qr("sales").await;
    let session = world.api::<WhatsAppSession>().get("sales").await.unwrap();
    assert_eq!(session.status.unwrap().pairing.and_then(|pairing| pairing.qr), None);
    world.pair("sales").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qr_that_may_be_in_the_status_is_gone_from_it_after_the_scan() {
    let args = vec!["--allow-qr-in-status".to_owned()];
    let world = World::with(OPERATOR, Options { args, ..Options::default() }).await;
    world.account("default", DEMO, json!({})).await;
    world.session("sales", json!({"pairing": {"publishInStatus": true}})).await;
    let qr = |session: &WhatsAppSession| session.status.clone()?.pairing?.qr;
    let session = world.until("sales", "a code in the status", |session| qr(session).is_some()).await;
    assert!(qr(&session) == world.sim.current_code("sales").map(|view| view.code), "another code than the provider's");
    assert!(!world.log().contains(&qr(&session).unwrap()), "the log holds the code");
    let session = world.pair("sales").await;
    assert_eq!(qr(&session), None);
}
