//! Calls as they come over the wire: which one it is, which fault hits it, what goes back.

use std::time::Duration;

use super::answers::{Answer, Refusal};
use super::faults::{Fault, FaultAction, Occasion, Route};
use super::journal::Entry;
use super::{Effect, Proof, State};

/// An HTTP request, as far as the API looks at it.
#[derive(Clone, Default)]
pub struct Request {
    /// The method in capitals.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without the question mark.
    pub query: String,
    /// The bearer token.
    pub bearer: Option<String>,
    /// The header `X-API-Key`.
    pub api_key: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Request {
    /// Without credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), ..Self::default() }
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self }
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..self }
    }

    pub(super) fn query_value(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answer(Answer),
    /// A reset connection.
    Reset,
    /// The request may go on to the Socket.IO server.
    Pass,
}

/// What is going to happen to a call that has arrived.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which call it is.
    pub route: Route,
    /// Whose credentials it bears, valid or not.
    pub tenant: Option<String>,
    /// The session it names.
    pub session: Option<String>,
    /// The fault that hits it.
    pub fault: Option<Fault>,
    number: u64,
}

impl Plan {
    /// How long to wait before [`State::finish`].
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.fault.as_ref().map_or(Duration::ZERO, |fault| fault.delay)
    }

    /// How long to wait between [`State::finish`] and the answer.
    #[must_use]
    pub fn delay_after(&self) -> Duration {
        self.fault.as_ref().map_or(Duration::ZERO, |fault| fault.delay_after)
    }
}

fn route(request: &Request) -> (Route, Option<String>) {
    let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (["api", "v1", rest @ ..] | ["api", rest @ ..]) = segments.as_slice() else { return (Route::Unknown, None) };
    let route = match (request.method.as_str(), rest) {
        ("GET", ["whatsapp"]) => Route::List,
        ("POST", ["whatsapp"]) => Route::Create,
        ("POST", ["whatsapp", _, "connect"]) => Route::Connect,
        ("GET", ["whatsapp", _, "status"]) => Route::Status,
        ("POST", ["whatsapp", _, "disconnect"]) => Route::Disconnect,
        ("GET", ["external", "sessions"]) => Route::External,
        ("POST", ["auth", "login"]) => Route::Login,
        ("POST", ["auth", "refresh"]) => Route::Refresh,
        ("GET", ["billing", "usage"]) => Route::Usage,
        ("GET", ["billing", "subscription"]) => Route::Subscription,
        _ => Route::Unknown,
    };
    let session = match rest {
        ["whatsapp", id, ..] => Some((*id).to_owned()),
        _ => None,
    };
    (route, session)
}

impl State {
    /// A call arrives: it is written down and a fault may be spent on it.
    pub fn begin(&mut self, request: &Request) -> Plan {
        let (route, session) = route(request);
        let tenant = self.owner(request, route);
        self.begin_as(request, route, tenant, session)
    }

    /// A Socket.IO handshake arrives. Without a fault it is not a call of its own: the CONNECT that follows is.
    pub fn begin_handshake(&mut self, request: &Request) -> Option<Plan> {
        let tenant = self.owner(request, Route::Socket);
        let occasion =
            Occasion { route: Route::Socket, tenant: tenant.as_deref(), session: None, is_connect_packet: false };
        let fault = self.faults.take(&occasion)?;
        Some(self.write_down(request, Route::Socket, tenant, None, Some(fault)))
    }

    /// A Socket.IO CONNECT arrives; the error is the text of the refusal.
    ///
    /// # Errors
    /// When the token does not count or a fault refuses it.
    pub fn connect_socket(&mut self, namespace: &str, token: Option<&str>) -> Result<String, String> {
        let proof = token.map_or(Proof::Unknown, |token| self.check_token(token));
        let (Proof::Valid(known) | Proof::Expired(known)) = &proof else {
            return self.end_connect(namespace, None, None, Err("Unauthorized".to_owned()));
        };
        let occasion = Occasion { route: Route::Socket, tenant: Some(known), session: None, is_connect_packet: true };
        let fault = self.faults.take(&occasion);
        let verdict = match (&proof, &fault) {
            (_, Some(Fault { action: FaultAction::Refuse { message }, .. })) => {
                Err(message.clone().unwrap_or_else(|| "Unauthorized".to_owned()))
            }
            (Proof::Valid(name), _) => Ok(name.clone()),
            _ => Err("Token expired".to_owned()),
        };
        let known = known.clone();
        self.end_connect(namespace, Some(known), fault, verdict)
    }

    fn end_connect(
        &mut self,
        namespace: &str,
        tenant: Option<String>,
        fault: Option<Fault>,
        verdict: Result<String, String>,
    ) -> Result<String, String> {
        let plan = self.write_down(&Request::new("CONNECT", namespace), Route::Socket, tenant, None, fault);
        self.end(&plan, Some(if verdict.is_ok() { 200 } else { 401 }), verdict.is_ok());
        verdict
    }

    /// A socket is connected: whoever wants codes again gets them now.
    pub fn socket_connected(&mut self, tenant: &str) {
        let Some(known) = self.tenants.get(tenant).filter(|known| known.settings.replay_qr) else { return };
        let ids: Vec<String> =
            known.sessions.iter().filter(|session| session.shown.is_some()).map(|session| session.id.clone()).collect();
        for id in ids {
            self.tell_code(tenant, &id);
        }
    }

    fn begin_as(&mut self, request: &Request, route: Route, tenant: Option<String>, session: Option<String>) -> Plan {
        let occasion =
            Occasion { route, tenant: tenant.as_deref(), session: session.as_deref(), is_connect_packet: false };
        let fault = self.faults.take(&occasion);
        self.write_down(request, route, tenant, session, fault)
    }

    fn write_down(
        &mut self,
        request: &Request,
        route: Route,
        tenant: Option<String>,
        session: Option<String>,
        fault: Option<Fault>,
    ) -> Plan {
        let entry = Entry {
            number: 0,
            at_ms: 0,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            route,
            tenant: tenant.clone(),
            token: request.bearer.as_deref().and_then(|token| self.tokens.number(token)),
            session: session.clone(),
            status: None,
            applied: false,
            done: false,
            faulted: fault.is_some(),
        };
        let number = self.journal.begin(self.now, entry);
        Plan { route, tenant, session, fault, number }
    }

    /// The call has its effect, or not, as planned.
    pub fn finish(&mut self, request: &Request, plan: &Plan) -> Reply {
        let action = plan.fault.as_ref().map_or(&FaultAction::Pass, |fault| &fault.action);
        let answer = (action.applies() && plan.route != Route::Socket).then(|| self.apply(request, plan));
        let applied = answer.as_ref().is_some_and(|answer| answer.status < 400);
        let reply = match action {
            FaultAction::Pass | FaultAction::Refuse { .. } => answer.map_or(Reply::Pass, Reply::Answer),
            FaultAction::Status { status, code, message, retry_after, .. } => {
                let mut refusal = Refusal::of_status(*status, code.as_deref());
                refusal.retry_after.clone_from(retry_after);
                if let Some(message) = message {
                    refusal.message.clone_from(message);
                }
                Reply::Answer(refusal.render(self.api.error_codes || code.is_some(), self.wall_clock()))
            }
            FaultAction::ResetBefore | FaultAction::ResetAfter => Reply::Reset,
            FaultAction::Garbage => Reply::Answer(odd(200, "text/html", "<html><body>It works!</body></html>")),
            FaultAction::EmptyBody => Reply::Answer(odd(200, "application/json; charset=utf-8", "")),
            FaultAction::NoId => Reply::Answer(Answer::json(
                201,
                &serde_json::json!({"success": true, "data": {"status": "disconnected", "phoneNumber": null}}),
            )),
        };
        let status = match &reply {
            Reply::Answer(answer) => Some(answer.status),
            Reply::Reset | Reply::Pass => None,
        };
        self.end(plan, status, applied);
        let told = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let note = if plan.fault.is_some() { " (fault)" } else { "" };
        let tenant = plan.tenant.as_deref().unwrap_or("?");
        self.effects.push(Effect::Note(format!("{tenant}: {} {} -> {told}{note}", request.method, request.path)));
        reply
    }

    /// A whole call at once, for users without sockets; delays do not happen.
    pub fn exchange(&mut self, request: &Request) -> Reply {
        let plan = self.begin(request);
        self.finish(request, &plan)
    }

    fn end(&mut self, plan: &Plan, status: Option<u16>, applied: bool) {
        if let Some(entry) = self.journal.entry_mut(plan.number) {
            entry.status = status;
            entry.applied = applied;
            entry.done = true;
        }
    }

    /// Writes down which token a call was given.
    pub(super) fn granted(&mut self, plan: &Plan) {
        let token = Some(self.tokens.minted());
        if let Some(entry) = self.journal.entry_mut(plan.number) {
            entry.token = token;
        }
    }

    /// Writes down which session a call made.
    pub(super) fn attribute(&mut self, plan: &Plan, session: &str) {
        if let Some(entry) = self.journal.entry_mut(plan.number) {
            entry.session = Some(session.to_owned());
        }
    }
}

fn odd(status: u16, content_type: &'static str, body: &str) -> Answer {
    Answer { status, headers: Vec::new(), content_type, body: body.to_owned() }
}
