//! A real Kubernetes control plane on this machine: etcd, kube-apiserver and, when asked for,
//! kube-controller-manager.

mod files;
mod programs;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use self::files::{ADMIN, Files, kubeconfig};
use self::programs::{start_api_server, start_controller_manager, start_etcd};
use crate::assets;
use crate::kubectl::Kubectl;
use crate::process::{Guard, Managed, TempDir};

/// How long one program may take to become ready. It takes seconds, but machines that build at the
/// same time are slow.
const READY_DEADLINE: Duration = Duration::from_mins(2);
/// How long one attempt to ask for readiness may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const PROBE_FIRST_PAUSE: Duration = Duration::from_millis(20);
const PROBE_LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// A free port is free only until somebody else takes it.
const START_ATTEMPTS: usize = 3;
const LOG_LINES: usize = 30;

/// Why there is no control plane.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The programs are not there.
    #[error(transparent)]
    Assets(#[from] assets::Error),
    /// A file or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The key of the service accounts or the admin's token could not be made.
    #[error("no random numbers from the system")]
    Random,
    /// A program did not become ready.
    #[error("{component} {reason}; the last lines of its log:\n{log}")]
    NotReady {
        /// Which program.
        component: String,
        /// What it did instead.
        reason: String,
        /// The end of its log.
        log: String,
    },
    /// The kubeconfig cannot be used.
    #[error("the admin's kubeconfig cannot be used: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The client cannot be made.
    #[error("the client cannot be made: {0}")]
    Client(#[from] kube::Error),
    /// kubectl ended with an error.
    #[error("kubectl {args} failed: {stderr}")]
    Kubectl {
        /// Its arguments.
        args: String,
        /// What it said.
        stderr: String,
    },
}

pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Also start kube-controller-manager: namespaces terminate, owned objects are collected,
    /// namespaces get a default `ServiceAccount`.
    pub with_controller_manager: bool,
    /// The address of this machine that it listens at, for a node that is not in its network namespace. Loopback without.
    pub address: Option<Ipv4Addr>,
    /// More arguments for kube-apiserver.
    pub api_server_args: Vec<String>,
    /// Where the audit log goes; without it, it vanishes with the control plane.
    pub audit_log: Option<PathBuf>,
}

/// A running control plane. It ends when this is dropped, and at the latest with this process.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: kube-apiserver hangs when etcd goes first.
    controller_manager: Option<Managed>,
    api_server: Managed,
    etcd: Managed,
    directory: TempDir,
    audit_log: PathBuf,
    guard: Guard,
    kubectl: Kubectl,
    url: String,
    ca: Vec<u8>,
    config: Config,
}

/// One control plane with a controller manager for all tests of this process.
pub async fn shared() -> Result<&'static ControlPlane, Error> {
    static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
    SHARED.get_or_try_init(|| ControlPlane::start(for_tests())).await
}

/// With a controller manager, and an audit log that outlives it if somebody wants to read it afterwards.
#[must_use]
pub fn for_tests() -> Options {
    Options { with_controller_manager: true, audit_log: kept_audit_log(), ..Options::default() }
}

/// A file in the directory of `E2E_AUDIT_LOGS`, below the name of this test program.
fn kept_audit_log() -> Option<PathBuf> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let logs = PathBuf::from(std::env::var_os("E2E_AUDIT_LOGS")?);
    let program = std::env::current_exe().ok()?;
    let program = program.file_stem()?.to_str()?;
    // cargo adds a hash.
    let program = program.rsplit_once('-').map_or(program, |(name, _)| name);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Some(logs.join(program).join(format!("{}-{number}.log", std::process::id())))
}

impl ControlPlane {
    /// Starts one and returns when it is ready for requests.
    pub async fn start(options: Options) -> Result<Self, Error> {
        // An error means that the process has already chosen its provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let set = if options.with_controller_manager { assets::Set::All } else { assets::Set::Demo };
        let programs = assets::find(set).await?;
        let mut attempt = 1;
        loop {
            match Self::try_start(&programs, &options).await {
                Err(Error::NotReady { log, .. })
                    if attempt < START_ATTEMPTS && log.contains("address already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_start(programs: &Path, options: &Options) -> Result<Self, Error> {
        let guard = Guard::new().map_err(failed("cannot start the guard"))?;
        let directory = guard.temp_dir("whatsapp-operator-").map_err(failed("cannot make a temporary directory"))?;
        let mut files = Files::new(directory.path());
        if let Some(log) = &options.audit_log {
            files.audit_log.clone_from(log);
        }
        let token = files.write()?;
        let address = options.address.unwrap_or(Ipv4Addr::LOCALHOST);
        let port = free_port(address).map_err(failed("no free port"))?;

        let mut etcd = start_etcd(&guard, programs, &files)?;
        until_ready(&mut etcd, async || etcd_is_healthy(&files.etcd_socket).await).await?;

        let mut api_server = start_api_server(&guard, programs, &files, (address, port), options)?;
        // The key is written after the certificate. Its file says more than an open port, which
        // may be anybody's.
        until_ready(&mut api_server, async || {
            if files.certificate_key.exists() { Ok(()) } else { Err("has no certificate yet".to_owned()) }
        })
        .await?;
        let ca = fs::read(&files.certificate).map_err(failed("cannot read the certificate of kube-apiserver"))?;
        let url = format!("https://{address}:{port}");
        fs::write(&files.kubeconfig, kubeconfig(&url, &ca, ADMIN, &token))
            .map_err(failed("cannot write the kubeconfig"))?;
        let config =
            Config::from_custom_kubeconfig(Kubeconfig::read_from(&files.kubeconfig)?, &KubeConfigOptions::default())
                .await?;

        let mut probe_config = config.clone();
        // Being unready is what is waited for here, so the client must not hide it.
        probe_config.default_retry = false;
        let probe = Client::try_from(probe_config)?;
        until_ready(&mut api_server, async || api_server_is_ready(&probe).await).await?;

        let controller_manager = if options.with_controller_manager {
            let mut manager = start_controller_manager(&guard, programs, &files)?;
            // The first thing that shows that its controllers work.
            let accounts: Api<ServiceAccount> = Api::namespaced(probe, "default");
            until_ready(&mut manager, async || {
                accounts.get("default").await.map(drop).map_err(|error| error.to_string())
            })
            .await?;
            Some(manager)
        } else {
            None
        };

        let kubectl = Kubectl {
            program: programs.join("kubectl"),
            kubeconfig: files.kubeconfig.clone(),
            cache: directory.path().join("kubectl-cache"),
        };
        let audit_log = files.audit_log;
        Ok(Self { controller_manager, api_server, etcd, directory, audit_log, guard, kubectl, url, ca, config })
    }

    /// The kubeconfig of an administrator.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        Files::new(self.directory.path()).kubeconfig
    }

    /// Writes a kubeconfig for somebody else, such as a `ServiceAccount`, and says where it is.
    pub fn write_kubeconfig(&self, user: &str, token: &str) -> Result<PathBuf, Error> {
        let path = self.directory.path().join(format!("{user}.kubeconfig"));
        fs::write(&path, kubeconfig(&self.url, &self.ca, user, token))
            .map_err(failed(format!("cannot write {}", path.display())))?;
        Ok(path)
    }

    /// Writes a kubeconfig for a user who may do everything, but under a name of their own in the audit log.
    pub fn impersonate(&self, user: &str) -> Result<PathBuf, Error> {
        let path = self.directory.path().join(format!("{user}.kubeconfig"));
        let admin = fs::read_to_string(self.kubeconfig_path()).map_err(failed("cannot read the admin's kubeconfig"))?;
        let mut config: Value =
            serde_json::from_str(&admin).map_err(|error| failed("the admin's kubeconfig")(error.into()))?;
        if let Some(admin) = config.pointer_mut("/users/0/user").and_then(Value::as_object_mut) {
            admin.insert("as".to_owned(), json!(user));
            admin.insert("as-groups".to_owned(), json!(["system:masters"]));
        }
        fs::write(&path, config.to_string()).map_err(failed(format!("cannot write {}", path.display())))?;
        Ok(path)
    }

    /// The address of kube-apiserver.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The kubectl that belongs to it, as an administrator.
    #[must_use]
    pub fn admin(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The certificate that clients trust, in PEM.
    #[must_use]
    pub fn ca(&self) -> &[u8] {
        &self.ca
    }

    /// A directory for files that shall vanish with the control plane.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The guard of its processes, under which others can be started too.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The configuration of an administrator's client.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A new administrator's client. Each test needs its own: a client stops working together with
    /// the runtime that it was made in.
    pub fn client(&self) -> Result<Client, Error> {
        Ok(Client::try_from(self.config.clone())?)
    }

    /// Runs kubectl as an administrator.
    pub async fn kubectl(&self, args: &[&str]) -> Result<Output, Error> {
        self.kubectl_with_stdin(args, "").await
    }

    /// Runs kubectl as an administrator and gives it `input` to read.
    pub async fn kubectl_with_stdin(&self, args: &[&str], input: &str) -> Result<Output, Error> {
        self.kubectl.run(args, input).await.map_err(failed("cannot run kubectl"))
    }

    /// Runs kubectl as an administrator and returns what it printed. Everything but success is an
    /// error.
    pub async fn kubectl_ok(&self, args: &[&str]) -> Result<String, Error> {
        success(args, &self.kubectl(args).await?)
    }

    /// Applies a manifest (YAML or JSON) as an administrator.
    pub async fn apply(&self, manifest: &str) -> Result<String, Error> {
        let args = ["apply", "--server-side", "--filename", "-"];
        success(&args, &self.kubectl_with_stdin(&args, manifest).await?)
    }

    /// All requests answered so far, as events of `audit.k8s.io/v1` without bodies. The last one
    /// may show up a moment after its answer.
    pub fn audit_events(&self) -> Result<Vec<Value>, Error> {
        self.audit_events_about("")
    }

    /// The same, but only those whose line holds this text: reading all of them takes a second in a large test run.
    pub fn audit_events_about(&self, text: &str) -> Result<Vec<Value>, Error> {
        let file = fs::File::open(&self.audit_log).map_err(failed("cannot open the audit log"))?;
        let mut events = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(failed("cannot read the audit log"))?;
            // Only the last line can be incomplete: it is just being written.
            if line.contains(text)
                && let Ok(event) = serde_json::from_str(&line)
            {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// The process ids of its programs.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        [Some(&self.etcd), Some(&self.api_server), self.controller_manager.as_ref()]
            .into_iter()
            .flatten()
            .map(Managed::pid)
            .collect()
    }

    /// The last lines of all logs, to be shown when something is odd.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let mut text = String::new();
        for program in
            [Some(&self.etcd), Some(&self.api_server), self.controller_manager.as_ref()].into_iter().flatten()
        {
            let _ = writeln!(text, "--- {}\n{}", program.name(), program.log_tail(lines));
        }
        text
    }

    /// Ends it and removes its data.
    pub async fn stop(self) -> Result<(), Error> {
        // The data of a long run takes a while to remove.
        tokio::task::spawn_blocking(move || {
            let Self { mut controller_manager, mut api_server, mut etcd, directory, guard, .. } = self;
            for program in controller_manager.as_mut().into_iter().chain([&mut api_server, &mut etcd]) {
                program.kill().map_err(failed(format!("cannot stop {}", program.name())))?;
            }
            drop(directory);
            drop((controller_manager, api_server, etcd));
            drop(guard);
            Ok(())
        })
        .await
        .map_err(|error| failed("cannot stop the control plane")(io::Error::other(error)))?
    }
}

fn success(args: &[&str], output: &Output) -> Result<String, Error> {
    Kubectl::said(output).map_err(|stderr| Error::Kubectl { args: args.join(" "), stderr })
}

fn free_port(address: Ipv4Addr) -> io::Result<u16> {
    Ok(TcpListener::bind(SocketAddr::from((address, 0)))?.local_addr()?.port())
}

async fn etcd_is_healthy(socket: &Path) -> Result<(), String> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    match exchange.await {
        Ok(answer) if answer.contains(r#""health":"true""#) => Ok(()),
        Ok(answer) => Err(answer),
        Err(error) => Err(error.to_string()),
    }
}

async fn api_server_is_ready(client: &Client) -> Result<(), String> {
    let request = http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map_err(|error| error.to_string())?;
    // Made by kube-apiserver itself, but not a part of its readiness.
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.get("default").await.map(drop).map_err(|error| error.to_string())
}

/// Asks until the program is ready, has ended or the deadline is over.
pub(crate) async fn until_ready(
    program: &mut Managed,
    probe: impl AsyncFn() -> Result<(), String>,
) -> Result<(), Error> {
    let deadline = Instant::now() + READY_DEADLINE;
    let mut pause = PROBE_FIRST_PAUSE;
    loop {
        let problem = match timeout(PROBE_TIMEOUT, probe()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(problem)) => problem,
            Err(_) => format!("no answer within {} s", PROBE_TIMEOUT.as_secs()),
        };
        let reason = if !program.is_alive() {
            match program.kill() {
                Ok(status) => format!("ended before it was ready ({status})"),
                Err(error) => format!("ended before it was ready ({error})"),
            }
        } else if Instant::now() >= deadline {
            format!("was not ready after {} s ({problem})", READY_DEADLINE.as_secs())
        } else {
            sleep(pause).await;
            pause = (pause * 2).min(PROBE_LONGEST_PAUSE);
            continue;
        };
        return Err(Error::NotReady { component: program.name().to_owned(), reason, log: program.log_tail(LOG_LINES) });
    }
}
