//! The operator as a program.

use std::sync::Arc;

use clap::Parser;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio_util::sync::CancellationToken;
use whatsapp_operator::{
    api::names,
    config::{Config, LogFormat},
    controller::{self, Fenced, Open, Parts},
    decide::Policy,
    metrics::{Metered, Metrics, OPEN_METRICS},
    provider::{
        Limits, Provider,
        http::Http,
        place::Places,
        reach::{Addresses, Reach},
    },
    runtime::{
        Leadership, Readiness, Supervisor,
        http::{self, Answer, Page, Pages},
        lease::{self, Election, Named},
        shutdown,
        supervisor::Ended,
        telemetry,
    },
};

#[tokio::main]
async fn main() {
    let config = Config::parse();
    let level = format!("{:?}", config.log_level).to_lowercase();
    telemetry::init(&level, config.log_format == LogFormat::Json);
    let ended = run(config).await;
    if let Err(sentence) = &ended {
        tracing::error!("{sentence}");
    }
    // At once: what still runs is not waited for, least of all by a replica that lost its lease; and a name that is being
    // resolved would be waited for longer than the grace period of a Pod.
    std::process::exit(i32::from(ended.is_err()))
}

async fn run(config: Config) -> Result<(), String> {
    // Before the first client: reqwest and the WebSocket use the process's provider and panic without one.
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a TLS provider is installed already")?;
    let stop = shutdown::on_signal().map_err(|error| format!("signals cannot be handled: {error}"))?;
    let lease_namespace = lease_namespace(&config)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let readiness = Arc::new(Readiness::new("Kubernetes has not answered yet"));
    let mut supervisor = Supervisor::new(stop.clone());
    let metrics = Arc::new(Metrics::new());
    serve(&config, &readiness, &metrics, &mut supervisor, &stop).await?;
    let (cluster, client) = cluster().await?;
    let reach = reach(&config)?;
    let addresses = reach.addresses.clone();
    let (election, leadership) = match &lease_namespace {
        Some(namespace) => {
            let lease = Named::new(client, namespace, &config.lease_name, names::MANAGER);
            let (election, leadership) = Election::new(lease, lease::identity(), lease::boot_clock(), Timestamp::now);
            (Some(election), leadership)
        }
        None => (None, Leadership::always()),
    };
    let (counting, leading) = (metrics.clone(), leadership.clone());
    let open: Open = Arc::new(move |url| {
        let http = Http::new(url, Limits::default(), &reach).map_err(|error| error.to_string())?;
        let fenced = Fenced::new(Arc::new(http), leading.clone());
        Ok(Arc::new(Metered::new(Arc::new(fenced), counting.clone())) as Arc<dyn Provider>)
    });
    let parts = Parts {
        client: lease::fenced(cluster, leadership.clone()).map_err(|error| no_client(&error))?,
        namespaces: config.watch_namespaces,
        policy: Policy {
            settle: config.settle_time,
            deletion_deadline: config.deletion_deadline,
            allow_qr_in_status: config.allow_qr_in_status,
            holder: format!("{:016x}", rand::random::<u64>()),
        },
        places: Places { insecure: config.allow_insecure_urls, hosts: config.allowed_hosts, addresses },
        open,
        wall: Arc::new(Timestamp::now),
        readiness,
        metrics: metrics.clone(),
        leadership: leadership.clone(),
    };
    tokio::spawn(async move {
        leadership.acquired().await;
        metrics.leads();
    });
    let work = controller::run(parts, supervisor, stop.clone());
    match election {
        Some(election) => elected(election, work, stop).await?,
        None => work.await.map(drop).map_err(|ended| ended.to_string())?,
    }
    tracing::info!("stopped");
    Ok(())
}

/// Works as long as the lease is not lost, and releases it once nothing that was begun under it is under way.
async fn elected(
    election: Election<Named>,
    work: impl Future<Output = Result<bool, Ended>>,
    stop: CancellationToken,
) -> Result<(), String> {
    let drained = CancellationToken::new();
    let election = tokio::spawn(election.run(stop, drained.clone()));
    let abandon = election.abort_handle();
    let held = async {
        match election.await {
            Ok(ended) => ended.map_err(|lost| lost.to_string()),
            Err(ended) if ended.is_cancelled() => Ok(()),
            Err(_) => Err("the task that keeps the lease panicked".to_owned()),
        }
    };
    let worked = async {
        if work.await.map_err(|ended| ended.to_string())? {
            drained.cancel();
        } else {
            // It ends by itself, by when what is still under way has ended, too.
            abandon.abort();
        }
        Ok(())
    };
    tokio::try_join!(held, worked).map(drop)
}

/// Where the lease is, if there shall be one.
fn lease_namespace(config: &Config) -> Result<Option<String>, String> {
    const OWN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    if !config.leader_elect {
        return Ok(None);
    }
    if let Some(namespace) = &config.lease_namespace {
        return Ok(Some(namespace.clone()));
    }
    match std::fs::read_to_string(OWN) {
        Ok(namespace) if !namespace.trim().is_empty() => Ok(Some(namespace.trim().to_owned())),
        _ => Err(format!("--leader-elect outside of a cluster needs --lease-namespace: {OWN} cannot be read")),
    }
}

/// Serves the probes and the metrics, where that is asked for.
async fn serve(
    config: &Config,
    readiness: &Arc<Readiness>,
    metrics: &Arc<Metrics>,
    supervisor: &mut Supervisor,
    stop: &CancellationToken,
) -> Result<(), String> {
    let (readiness, metrics) = (readiness.clone(), metrics.clone());
    let probes: Pages = vec![
        // A task that ends unasked ends the process, so whoever answers is alive.
        ("/livez", Arc::new(|| Answer::line(true, "alive"))),
        (
            "/readyz",
            Arc::new(move || match readiness.get() {
                Ok(how) => Answer::line(true, how),
                Err(why_not) => Answer::line(false, why_not),
            }),
        ),
    ];
    let page: Page = Arc::new(move || match metrics.text() {
        Ok(body) => Answer { well: true, kind: OPEN_METRICS, body },
        Err(_) => Answer::line(false, "the metrics cannot be written"),
    });
    for (flag, task, address, pages) in [
        ("--health-address", "probes", &config.health_address, probes),
        ("--metrics-address", "metrics", &config.metrics_address, vec![("/metrics", page)]),
    ] {
        if address.is_empty() {
            continue;
        }
        let told = |error: std::io::Error| format!("{flag} {address}: {error}");
        let listener = http::bind(address).await.map_err(told)?;
        let address = listener.local_addr().map_err(told)?;
        tracing::info!(%address, "serving {task}");
        supervisor.spawn(task, http::serve(listener, pages, stop.clone()));
    }
    Ok(())
}

/// Where the provider may be, and whose certificates are believed there.
fn reach(config: &Config) -> Result<Reach, String> {
    let addresses = Addresses { anywhere: config.allow_insecure_urls, allowed: config.allowed_cidrs.clone() };
    let reach = Reach::new(addresses);
    let Some(file) = &config.provider_ca_file else { return Ok(reach) };
    let told = |error: &dyn std::fmt::Display| format!("--provider-ca-file {}: {error}", file.display());
    let pem = std::fs::read(file).map_err(|error| told(&error))?;
    reach.trusting(&pem).map_err(|error| told(&error))
}

/// An error and what is behind it, which is where a client says whether it was the name, the port or the certificate.
fn with_causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut told = chain.map(ToString::to_string).collect::<Vec<_>>();
    // Some repeat what they wrap.
    told.dedup_by(|cause, error| error.contains(cause.as_str()));
    told.join(": ")
}

fn no_client(error: &kube::Error) -> String {
    format!("the Kubernetes client cannot be made: {error}")
}

/// How to reach Kubernetes, and a client that was answered once: a wrong address is better told at the start than in a
/// loop.
async fn cluster() -> Result<(kube::Config, Client), String> {
    let mut config = kube::Config::infer().await.map_err(|error| {
        format!("no Kubernetes configuration can be read, tried KUBECONFIG or ~/.kube/config, then the in-cluster files: {error}")
    })?;
    // Retries are the reconcile's business: hidden ones hold it up for minutes.
    config.default_retry = false;
    let address = config.cluster_url.to_string();
    let client = Client::try_from(config.clone()).map_err(|error| no_client(&error))?;
    match tokio::time::timeout(std::time::Duration::from_secs(10), client.apiserver_version()).await {
        Ok(Ok(version)) => {
            tracing::info!(server = version.git_version, "connected to Kubernetes");
            Ok((config, client))
        }
        Ok(Err(error)) => Err(format!("Kubernetes at {address} does not answer: {}", with_causes(&error))),
        Err(_) => Err(format!("Kubernetes at {address} does not answer within 10 s")),
    }
}
