//! Two replicas of one operator in one world.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    process::ExitStatus,
    time::{Duration, Instant},
};

use actiwapi_sim::{
    Config,
    state::{faults::Route, journal::Entry},
};
use devkit::{
    World,
    process::{Managed, Signal},
    world::Options,
};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use whatsapp_operator::api::WhatsAppSession;

use crate::{OPERATOR, link::Link};

/// Far more than anything here takes on a busy machine; only a fault gets this far.
pub const PATIENCE: Duration = Duration::from_mins(3);
pub const LEASE: &str = "whatsapp-operator";

/// Asks again until the answer is as wished; nothing when it never is.
async fn asked<T>(mut wished: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let asking = async {
        loop {
            if let Some(found) = wished().await {
                return found;
            }
            // Neither a process nor a log wakes anybody.
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asking).await.ok()
}

/// Asks again until the answer is as wished.
pub async fn until<T>(what: &str, wished: impl AsyncFnMut() -> Option<T>) -> T {
    asked(wished).await.unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}"))
}

/// One of them.
pub struct Replica {
    pub name: &'static str,
    pub user: String,
    pub link: Link,
    pub environment: Vec<(String, String)>,
    args: Vec<String>,
    kubeconfig: PathBuf,
    log: PathBuf,
    process: Option<Managed>,
}

impl Replica {
    /// The way to the API server leads over a link of its own.
    async fn new(world: &World, name: &'static str) -> Self {
        let user = format!("operator-{}-{name}", world.namespace);
        let direct = world.plane.impersonate(&user).unwrap();
        let target: SocketAddr = world.plane.url().trim_start_matches("https://").parse().unwrap();
        let link = Link::to(target).await;
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&direct).unwrap()).unwrap();
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", link.address));
        std::fs::write(&direct, config.to_string()).unwrap();
        let args = [
            format!("--watch-namespace={}", world.namespace),
            format!("--lease-namespace={}", world.namespace),
            "--leader-elect".to_owned(),
            "--allow-insecure-urls".to_owned(),
            "--log-format=text".to_owned(),
            "--health-address=127.0.0.1:0".to_owned(),
            "--metrics-address=127.0.0.1:0".to_owned(),
            "--settle-time=2s".to_owned(),
        ];
        let log = world.plane.directory().join(format!("{user}.log"));
        Self { name, user, link, environment: Vec::new(), args: args.to_vec(), kubeconfig: direct, log, process: None }
    }

    pub fn start(&mut self, world: &World) {
        assert!(self.process.is_none(), "{} is running", self.name);
        let mut launch = world
            .plane
            .guard()
            .launch("whatsapp-operator", OPERATOR, &self.log)
            .args(&self.args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("POD_NAME", self.name);
        for (key, value) in &self.environment {
            launch = launch.env(key, value);
        }
        self.process = Some(launch.spawn().unwrap());
    }

    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal).unwrap();
    }

    pub async fn stop(&mut self) -> ExitStatus {
        self.process.take().expect("it runs").term_then_kill(Duration::from_mins(1)).await.unwrap()
    }

    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill().unwrap();
    }

    /// It ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        timeout(PATIENCE, process.wait()).await.unwrap_or_else(|_| panic!("{} does not end", self.name)).unwrap()
    }

    pub fn is_alive(&self) -> bool {
        self.process.as_ref().is_some_and(Managed::is_alive)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until its log says so, so many times.
    pub async fn says(&self, what: &str, times: usize) {
        let said = asked(async || (self.log().matches(what).count() >= times).then_some(())).await;
        assert!(said.is_some(), "{} does not say {what}\n{}", self.name, self.log());
    }
}

/// Both, and where they are.
pub struct Pair {
    pub world: World,
    pub a: Replica,
    pub b: Replica,
}

impl Pair {
    /// None of them runs yet.
    pub async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut simulator = Config::default();
        // One code is enough, and drawing them is work.
        simulator.tenant.timings.qr_first = Duration::from_mins(10);
        simulator.tenant.session_limit = 1000;
        change(&mut simulator);
        let options = Options { simulator, without_operator: true, ..Options::default() };
        let world = World::with(OPERATOR, options).await;
        let (a, b) = (Replica::new(&world, "a").await, Replica::new(&world, "b").await);
        Self { world, a, b }
    }

    /// The first leads, the other stands by, and the account works.
    pub async fn start(&mut self) {
        self.a.start(&self.world);
        self.until_held_by("a").await;
        self.b.start(&self.world);
        self.b.says("standing by", 1).await;
        self.world.account("default", "demo", json!({})).await;
        self.world.until_account("default", "Ready", "True", "Ready").await;
    }

    pub async fn lease(&self) -> LeaseSpec {
        let lease = self.world.api::<Lease>().get_opt(LEASE).await.unwrap();
        lease.and_then(|lease| lease.spec).unwrap_or_default()
    }

    /// Waits until a replica holds the lease, and says how long that took.
    pub async fn until_held_by(&self, name: &str) -> Duration {
        let begun = Instant::now();
        let prefix = format!("{name}_");
        let held = asked(async || {
            let holder = self.lease().await.holder_identity.unwrap_or_default();
            holder.starts_with(&prefix).then_some(())
        });
        assert!(held.await.is_some(), "{name} does not lead\n{}", self.logs());
        begun.elapsed()
    }

    /// A session with a pairing of its own, or one that is only created.
    pub async fn session(&self, number: usize) {
        let mode = if number.is_multiple_of(3) { "Auto" } else { "OnRequest" };
        self.world.session(&format!("s{number}"), json!({"pairing": {"mode": mode}})).await;
    }

    /// What was asked of the provider that changes something there.
    pub fn writes(&self) -> Vec<Entry> {
        let changes =
            |route| matches!(route, Route::Create | Route::Connect | Route::Disconnect | Route::Login | Route::Refresh);
        self.world.sim.requests().into_iter().filter(|entry| changes(entry.route)).collect()
    }

    /// Starts whoever has ended, as a kubelet does, until every session has its id.
    pub async fn revive_until_made(&mut self, sessions: usize) {
        let api = self.world.api::<WhatsAppSession>();
        let made = asked(async || {
            for replica in [&mut self.a, &mut self.b] {
                if !replica.is_alive() {
                    replica.process = None;
                    replica.start(&self.world);
                }
            }
            let found = api.list(&ListParams::default()).await.unwrap();
            let has_id = |s: &&WhatsAppSession| s.status.as_ref().is_some_and(|status| status.session_id.is_some());
            (found.items.iter().filter(has_id).count() == sessions).then_some(())
        })
        .await;
        assert!(made.is_some(), "not all are made\n{}", self.logs());
    }

    /// Every session has its remote one and there is no other.
    pub async fn all_are_made_once(&self, sessions: usize) {
        for number in 0..sessions {
            let has_id = |session: &WhatsAppSession| session.status.as_ref().is_some_and(|s| s.session_id.is_some());
            self.world.until(&format!("s{number}"), "an id", has_id).await;
        }
        let mut names = BTreeMap::<String, usize>::new();
        for remote in self.world.sim.sessions("demo") {
            *names.entry(remote.name).or_default() += 1;
        }
        let expected = (0..sessions).map(|number| (format!("s{number}"), 1)).collect();
        assert_eq!(names, expected, "{}", self.logs());
    }

    pub fn logs(&self) -> String {
        format!("--- a\n{}\n--- b\n{}\n--- calls\n{}", self.a.log(), self.b.log(), told(&self.writes()))
    }
}

/// Who logged in is told by the token: how many came, one after the other, and the calls of those who came back after
/// another had begun.
pub fn turns(writes: &[Entry]) -> (usize, Vec<Entry>) {
    let (mut done, mut now, mut late) = (BTreeSet::new(), None, Vec::new());
    for entry in writes {
        let Some(token) = entry.token else { continue };
        if now == Some(token) {
            continue;
        }
        if done.contains(&token) {
            late.push(entry.clone());
            continue;
        }
        done.extend(now);
        now = Some(token);
    }
    (done.len() + usize::from(now.is_some()), late)
}

/// For people.
pub fn told(writes: &[Entry]) -> String {
    let line = |e: &Entry| format!("{:>7} ms token {:?} {} {:?}", e.at_ms, e.token, e.route.as_str(), e.session);
    writes.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_turn_that_comes_back_is_found() {
    let entry = |token| Entry {
        number: 0,
        at_ms: 0,
        method: String::new(),
        path: String::new(),
        query: String::new(),
        route: Route::Create,
        tenant: None,
        token: Some(token),
        session: None,
        status: None,
        applied: true,
        done: true,
        faulted: false,
    };
    let of = |tokens: &[u64]| turns(&tokens.iter().copied().map(entry).collect::<Vec<_>>());
    let (turns, late) = of(&[1, 1, 2, 2, 3]);
    assert_eq!((turns, late.len()), (3, 0));
    let (turns, late) = of(&[1, 2, 1, 2, 1, 3]);
    assert_eq!((turns, late.len()), (3, 2));
}
