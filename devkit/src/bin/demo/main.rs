//! The main job, told step by step: a session is applied, its QR drawn, scanned by a simulated phone, and Ready.
//!
//! Runs on a control plane of its own, or on the cluster that `DEMO_KUBECONFIG` names; no other cluster is touched.
//! `KEEP=1` leaves it running until Ctrl-C.

mod cluster;
mod screen;

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actiwapi_sim::Simulator;
use devkit::{
    assets,
    operator::{Operator, Settings},
    world,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, runtime::wait::await_condition};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use whatsapp_operator::{
    api::{WhatsAppAccount, WhatsAppSession},
    runtime::shutdown,
};

use cluster::Cluster;

const NAMESPACE: &str = "whatsapp-demo";
const SESSION: &str = "sales";
const OPERATOR: [&str; 4] =
    ["--allow-insecure-urls", "--log-format=text", "--settle-time=2s", "--watch-namespace=whatsapp-demo"];
const STEPS: usize = 7;
/// Far more than a step takes; whoever waits longer wants to know why.
const PATIENCE: Duration = Duration::from_mins(2);
/// Long enough to see the code.
const ADMIRE: Duration = Duration::from_secs(4);
const PROVIDER: &str = "https://api.actiwapi.com";
const STOPPED: &str = "stopped; nothing is left running";

/// Why the demo did not reach its end, in a sentence.
type Outcome<T> = Result<T, String>;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match shutdown::on_signal() {
        Ok(stop) => demo(&stop).await,
        Err(error) => Err(format!("signals cannot be handled: {error}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "demo: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C ends a step; whatever was started ends with this process.
async fn interruptible<T>(stop: &CancellationToken, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let stopped = || Err(STOPPED.to_owned());
    tokio::select! {
        biased;
        outcome = work => match outcome {
            // Ctrl-C reaches kubectl as well, which may end first.
            Err(_) if timeout(Duration::from_millis(200), stop.cancelled()).await.is_ok() => stopped(),
            outcome => outcome,
        },
        () = stop.cancelled() => stopped(),
    }
}

fn say(line: &str) {
    // Whoever reads the lines may have gone; that stops nothing.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn step(number: usize, line: &str) {
    say(&format!("[{number}/{STEPS}] {line}"));
}

async fn demo(stop: &CancellationToken) -> Outcome<()> {
    let begun = Instant::now();
    let cluster = interruptible(stop, Cluster::open()).await?;
    step(1, &cluster.describe());
    // Codes and ids shall differ from run to run.
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| u64::from(since.subsec_nanos()) ^ since.as_secs());
    let sim = Simulator::start(actiwapi_sim::Config { seed, ..actiwapi_sim::Config::default() })
        .await
        .map_err(|error| format!("the provider simulator cannot be started: {error}"))?;
    step(2, &format!("provider simulator: API on {}, admin API on {}", sim.base_url(), sim.admin_url()));
    interruptible(stop, install(&cluster)).await?;
    let operator = start_operator(&cluster)?;
    step(
        4,
        &format!("operator started, process {}, log (while this runs) in {}", operator.pid(), cluster.log().display()),
    );
    let outcome = interruptible(stop, told(&cluster, &sim, &operator, begun, stop)).await;
    if outcome.is_err() && !stop.is_cancelled() {
        say(&format!("--- the last lines of the operator's log\n{}", operator.log_tail(20)));
    }
    if cluster.is_named() {
        // While the operator still runs, or the finalizers would keep everything.
        cluster.clean().await?;
    }
    outcome
}

async fn install(cluster: &Cluster) -> Outcome<()> {
    let crds = assets::repository().join("crds");
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &crds.to_string_lossy()]).await?;
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &crds.to_string_lossy()]).await?;
    step(3, "custom resources installed: kubectl apply -f crds/");
    Ok(())
}

async fn told(
    cluster: &Cluster,
    sim: &Simulator,
    operator: &Operator,
    begun: Instant,
    stop: &CancellationToken,
) -> Outcome<()> {
    let manifest = std::fs::read_to_string(assets::repository().join("examples/quickstart.yaml"))
        .map_err(|error| format!("examples/quickstart.yaml cannot be read: {error}"))?;
    cluster.namespace(NAMESPACE).await?;
    let said = cluster.apply(NAMESPACE, &manifest.replace(PROVIDER, &sim.base_url())).await?;
    step(5, "kubectl apply -f examples/quickstart.yaml, with the simulator as its provider:");
    for line in said.lines() {
        say(&format!("      {line}"));
    }
    let secret = published(cluster, operator).await?;
    let name = format!("{SESSION}-qr");
    step(6, &format!("the remote session exists and awaits a scan; its QR code is in the Secret {name}:"));
    let code = world::text(&secret, "qr").ok_or("the Secret holds no code")?;
    screen::draw(&code)?;
    sleep(ADMIRE).await;
    // A code changes every 20 s, and a phone sees the one that is on show.
    let secret = published(cluster, operator).await?;
    let code = world::text(&secret, "qr").ok_or("the Secret holds no code")?;
    let phone = sim.scan_code(&code, Some("919876543210")).map_err(|error| format!("the simulated phone: {error}"))?;
    step(7, &format!("the simulated phone scanned that very code, which belongs to session {}", phone.id));
    wait(cluster, operator, "the session to become Ready", |session| {
        world::condition(session, "Ready").is_some_and(|condition| condition.status == "True")
    })
    .await?;
    let took = begun.elapsed();
    counted(cluster).await?;
    say("");
    say(cluster.kubectl(&["-n", NAMESPACE, "get", "waa,was,secrets", "-o", "wide"]).await?.trim_end());
    say("");
    let calls: u64 = sim.counts().values().sum();
    say(&format!("READY True after {:.1} s; the provider got {calls} requests: {}", took.as_secs_f64(), counts(sim)));
    if std::env::var("KEEP").is_ok_and(|keep| !keep.is_empty() && keep != "0") {
        keep(cluster, sim, operator);
        tokio::select! {
            () = stop.cancelled() => {}
            () = ended(operator) => {
                say("The operator ended; the rest keeps running. To start it again, in the other terminal:");
                say(&format!("  {}", started_by_hand()?));
                stop.cancelled().await;
            }
        }
    }
    Ok(())
}

/// The account tells its figures at most once in 5 s, so they may come a moment after the session's.
async fn counted(cluster: &Cluster) -> Outcome<()> {
    let api: Api<WhatsAppAccount> = Api::namespaced(cluster.client(), NAMESPACE);
    let told = |account: Option<&WhatsAppAccount>| {
        let sessions = account.and_then(|account| account.status.as_ref()?.sessions.clone());
        sessions.is_some_and(|sessions| sessions.connected > 0)
    };
    match timeout(PATIENCE, await_condition(api, "default", told)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("waiting for the account: {error}")),
        Err(_) => Err("the account does not count its session".to_owned()),
    }
}

fn counts(sim: &Simulator) -> String {
    let counts = sim.counts();
    counts.iter().map(|(route, count)| format!("{count} {route}")).collect::<Vec<_>>().join(", ")
}

fn start_operator(cluster: &Cluster) -> Outcome<Operator> {
    let binary = operator_binary()?;
    let settings = Settings {
        binary,
        kubeconfig: cluster.kubeconfig().to_path_buf(),
        log: cluster.log(),
        args: OPERATOR.iter().map(|arg| (*arg).to_owned()).collect(),
    };
    Operator::start(cluster.guard(), &settings).map_err(|error| format!("the operator cannot be started: {error}"))
}

/// The same as a command, for a shell with the demo's KUBECONFIG.
fn started_by_hand() -> Outcome<String> {
    Ok(format!("{} {}", operator_binary()?.display(), OPERATOR.join(" ")))
}

async fn ended(operator: &Operator) {
    while operator.is_alive() {
        sleep(Duration::from_millis(200)).await;
    }
}

/// The operator that was built together with this program.
fn operator_binary() -> Outcome<PathBuf> {
    let me = std::env::current_exe().map_err(|error| format!("this program does not know where it is: {error}"))?;
    let binary = me.with_file_name("whatsapp-operator");
    if binary.exists() { Ok(binary) } else { Err("the operator is not built: run `make demo`".to_owned()) }
}

async fn published(cluster: &Cluster, operator: &Operator) -> Outcome<Secret> {
    wait(cluster, operator, "the QR code", |session| {
        world::condition(session, "Ready").is_some_and(|condition| condition.reason == "AwaitingScan")
    })
    .await?;
    let api: Api<Secret> = Api::namespaced(cluster.client(), NAMESPACE);
    api.get(&format!("{SESSION}-qr")).await.map_err(|error| format!("the QR Secret cannot be read: {error}"))
}

async fn wait(
    cluster: &Cluster,
    operator: &Operator,
    what: &str,
    wished: impl Fn(&WhatsAppSession) -> bool,
) -> Outcome<()> {
    let api: Api<WhatsAppSession> = Api::namespaced(cluster.client(), NAMESPACE);
    let reached = await_condition(api, SESSION, |session: Option<&WhatsAppSession>| session.is_some_and(&wished));
    tokio::select! {
        reached = timeout(PATIENCE, reached) => match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("waiting for {what}: {error}")),
            Err(_) => Err(format!("waited {} s for {what}", PATIENCE.as_secs())),
        },
        () = ended(operator) => Err(format!("the operator ended while {what} was waited for")),
    }
}

fn keep(cluster: &Cluster, sim: &Simulator, operator: &Operator) {
    let admin = sim.admin_url();
    say("");
    say("Everything keeps running until Ctrl-C. In another terminal:");
    say(&format!("  export KUBECONFIG={}", cluster.kubeconfig().display()));
    say(&format!("  alias kubectl='{} -n {NAMESPACE}'", cluster.program().display()));
    say("  kubectl get was --watch");
    say(&format!("  kubectl describe was {SESSION}"));
    say(&format!("  tail -f {}", cluster.log().display()));
    say(&format!(
        "  curl -X POST {admin}/sessions/{SESSION}/drop      # the connection is lost, and comes back by itself"
    ));
    say(&format!("  curl -X POST {admin}/sessions/{SESSION}/logout    # the phone removes the device: LoggedOut"));
    say(&format!("  kubectl annotate --overwrite was {SESSION} actiwapi.com/pair-requested-at=\"$(date -u +%FT%TZ)\""));
    say(&format!("  curl -X POST {admin}/sessions/{SESSION}/scan      # a phone scans whatever is on show"));
    say(&format!("  curl -s {admin}/requests/counts                # what the provider was asked"));
    say(&format!("  kill {}      # the operator; how to start it again is told then", operator.pid()));
    say(&format!("  kubectl delete was {SESSION}"));
}
