//! An account on a scripted provider, with the bells it rings.

use std::{sync::Arc, time::Duration};

use kube::runtime::reflector::ObjectRef;
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};
use whatsapp_operator::{
    account::{
        Account, Bells, Health, Settings, Stream,
        board::Interest,
        credentials::{Credentials, Login},
    },
    api::{Reason, WhatsAppAccount, WhatsAppSession},
    provider::{EventsConfig, Liveness, Password, Qr, QrContent, SocketEvent, Token},
};

use crate::script::{PASSWORD, Script, id};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_mins(1);
/// Between two sweeps while anything is in motion.
pub const POLL: Duration = MINUTE;
/// Between two sweeps otherwise.
pub const SETTLED: Duration = Duration::from_mins(5);

pub struct Rig {
    pub provider: Arc<Script>,
    pub account: Arc<Account>,
    pub sessions: mpsc::UnboundedReceiver<ObjectRef<WhatsAppSession>>,
    pub task: Option<JoinHandle<()>>,
    _accounts: mpsc::UnboundedReceiver<ObjectRef<WhatsAppAccount>>,
}

pub fn settings() -> Settings {
    Settings {
        poll: POLL,
        settled_poll: SETTLED,
        rate: 1000,
        burst: 1000,
        events: Some(EventsConfig {
            path: "/socket.io/".to_owned(),
            namespace: "/".to_owned(),
            subscribe: Vec::new(),
            qr_events: Vec::new(),
            status_events: Vec::new(),
        }),
    }
}

pub fn password(password: &str, version: &str) -> Credentials {
    login("a@example.com", password, version)
}

pub fn login(email: &str, password: &str, version: &str) -> Credentials {
    Credentials {
        login: Login::Password { email: email.to_owned(), password: Password::new(password) },
        version: version.to_owned(),
    }
}

pub fn token(access: &str, refresh: Option<&str>) -> Credentials {
    Credentials {
        login: Login::Token { access: Token::new(access), refresh: refresh.map(Token::new) },
        version: "1".to_owned(),
    }
}

impl Rig {
    /// An account that makes only the calls it is asked for.
    pub fn idle(credentials: Credentials) -> Self {
        Self::with(settings(), credentials)
    }

    pub fn with(settings: Settings, credentials: Credentials) -> Self {
        let provider = Arc::new(Script::new());
        let (ring_sessions, sessions) = mpsc::unbounded_channel();
        let (ring_accounts, accounts) = mpsc::unbounded_channel();
        let key = ObjectRef::new("account").within("ns");
        let bells = Bells { sessions: ring_sessions, accounts: ring_accounts };
        let account = Account::new(key, "uid".to_owned(), provider.clone(), settings, credentials, bells);
        Self { provider, account, sessions, task: None, _accounts: accounts }
    }

    /// An account with a good password and these remote sessions, each wanted by an object, all settled.
    pub fn of(sessions: &[(&str, Liveness)]) -> Self {
        let rig = Self::idle(password(PASSWORD, "1"));
        for (text, liveness) in sessions {
            rig.becomes(text, liveness.clone());
            rig.want(text, true);
        }
        rig
    }

    pub fn start(&mut self) {
        let account = self.account.clone();
        self.task = Some(tokio::spawn(async move { account.run().await }));
    }

    /// [`Rig::of`], running, and through its first calls.
    pub async fn running(sessions: &[(&str, Liveness)]) -> Self {
        let mut rig = Self::of(sessions);
        rig.start();
        pass(SECOND).await;
        rig.woken();
        rig
    }

    pub fn becomes(&self, text: &str, liveness: Liveness) {
        self.provider.world().sessions.insert(text.to_owned(), liveness);
    }

    pub fn want(&self, text: &str, settled: bool) {
        self.account.want(
            text,
            Interest { session: ObjectRef::new(text).within("ns"), id: Some(id(text)), settled, sweep_after: None },
        );
    }

    pub fn status(&self, text: &str, claims: Liveness) {
        self.provider.say(SocketEvent::Status { session: Some(id(text)), claims: Some(claims) });
    }

    pub fn qr(&self, session: Option<&str>, raw: &str) {
        let qr = Qr { content: QrContent::Raw(raw.to_owned()), pairing_code: None };
        self.provider.say(SocketEvent::Qr { session: session.map(id), qr });
    }

    /// Whether a code is on offer for a session.
    pub fn offers(&self, text: &str) -> bool {
        self.account.sight(Some(&id(text)), "").offer.is_some()
    }

    /// The names of the session objects woken since the last look, each once.
    pub fn woken(&mut self) -> Vec<String> {
        let mut names: Vec<String> = std::iter::from_fn(|| self.sessions.try_recv().ok()).map(|o| o.name).collect();
        names.sort();
        names.dedup();
        names
    }

    pub fn health(&self) -> Health {
        self.account.view().health
    }

    pub fn stalled(&self) -> Option<Reason> {
        match self.health() {
            Health::Stalled(reason, _) => Some(reason),
            Health::Starting | Health::Ready | Health::Retrying(_) => None,
        }
    }

    pub fn stream(&self) -> Stream {
        self.account.view().stream
    }

    pub fn count(&self, route: &str) -> usize {
        self.provider.count(route)
    }
}

/// Lets time go by, and everything that happens in it happen.
pub async fn pass(time: Duration) {
    sleep(time).await;
}
