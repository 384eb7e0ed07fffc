//! The REST client against a real HTTP server on a loopback port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    fmt::Debug,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use whatsapp_operator::provider::{
    ApiKey, Class, Error, EventsConfig, Limits, Liveness, Password, Phone, Provider, SessionId, Token, http::Http,
    reach::Reach,
};

const TOKEN: &str = "eyJ-token-hunter2";

/// One request as the server saw it.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the server answers, always the same.
#[derive(Clone)]
struct Script {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    silent: bool,
}

#[derive(Clone)]
struct Server {
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
    address: SocketAddr,
}

async fn handle(State(server): State<Server>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    server.seen.lock().unwrap().push(Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body,
    });
    if server.script.silent {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Body::from(server.script.body));
    *response.status_mut() = StatusCode::from_u16(server.script.status).unwrap();
    for (name, value) in server.script.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { script, seen: Arc::default(), address: listener.local_addr().unwrap() };
        let app = Router::new().fallback(handle).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    async fn answering(status: u16, body: &Value) -> Self {
        Self::start(Script { status, headers: Vec::new(), body: body.to_string(), silent: false }).await
    }

    fn http(&self) -> Http {
        client(self.address, "", Limits::default())
    }

    /// The one request there was, with what every request has in common checked.
    #[track_caller]
    fn only(&self, method: &str, path: &str) -> Seen {
        let seen = self.seen.lock().unwrap().clone();
        assert_eq!(seen.len(), 1, "{seen:?}");
        let seen = seen[0].clone();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), (method, path));
        assert_eq!(seen.header("accept"), Some("application/json"));
        assert_eq!(seen.headers.get_all("content-type").iter().collect::<Vec<_>>(), ["application/json"]);
        assert_eq!(seen.header("user-agent"), Some(concat!("whatsapp-operator/", env!("CARGO_PKG_VERSION"))));
        seen
    }

    /// The same for a call with an access token, which is in its header and nowhere else.
    #[track_caller]
    fn only_with_token(&self, method: &str, path: &str) -> Seen {
        let seen = self.only(method, path);
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        assert_eq!(seen.header("x-api-key"), None);
        assert!(!format!("{:?}{:?}", seen.query, seen.body).contains(TOKEN));
        seen
    }
}

fn client(address: SocketAddr, prefix: &str, limits: Limits) -> Http {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Http::new(&format!("http://{address}{prefix}").parse().unwrap(), limits, &Reach::anywhere()).unwrap()
}

fn token() -> Token {
    Token::new(TOKEN)
}

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn done(data: &Value) -> Value {
    json!({"success": true, "data": data})
}

#[track_caller]
fn hides_token(shown: &(impl Debug + ?Sized)) {
    let shown = format!("{shown:?}");
    assert!(!shown.contains(TOKEN) && !shown.contains("hunter2"), "{shown}");
}

/// What a list call against this server ends with, and a check that it gives nothing away.
async fn list_error(http: &Http) -> Error {
    let error = http.list(&token(), 1, 20).await.unwrap_err();
    hides_token(&error);
    assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("127.0.0.1"), "{error}");
    error
}

#[tokio::test]
async fn row_1_list_sends_the_page_and_reads_the_sessions() {
    let session = json!({"id": "6f1c", "name": "Sales Line 1", "status": "connected", "phoneNumber": "919876543210", "connected": true});
    let pagination = json!({"page": 1, "limit": 20, "total": 1, "totalPages": 1});
    let server = Server::answering(200, &json!({"success": true, "data": [session], "pagination": pagination})).await;
    let page = server.http().list(&token(), 1, 20).await.unwrap();
    assert_eq!((page.limit, page.total, page.unreadable), (Some(20), Some(1), 0));
    assert_eq!((page.sessions[0].id.as_str(), page.sessions[0].name.as_str()), ("6f1c", "Sales Line 1"));
    assert_eq!(page.sessions[0].liveness, Liveness::Connected);
    assert_eq!(page.sessions[0].phone, Phone::parse("919876543210"));
    let seen = server.only_with_token("GET", "/api/v1/whatsapp");
    assert_eq!(seen.query.as_deref(), Some("page=1&limit=20"));
    assert!(seen.body.is_empty());
}

#[tokio::test]
async fn row_1_list_asks_for_any_page_below_a_path_prefix() {
    let server = Server::answering(200, &done(&json!([]))).await;
    let page = client(server.address, "/gateway/", Limits::default()).list(&token(), 7, 100).await.unwrap();
    assert_eq!((page.sessions.len(), page.limit, page.total), (0, None, None));
    let seen = server.only_with_token("GET", "/gateway/api/v1/whatsapp");
    assert_eq!(seen.query.as_deref(), Some("page=7&limit=100"));
}

#[tokio::test]
async fn row_2_create_sends_the_name_and_reads_the_id() {
    let data = json!({"id": "6f1c", "name": "Support Line", "status": "disconnected", "phoneNumber": null});
    let server = Server::answering(201, &done(&data)).await;
    let made = server.http().create(&token(), "Support \"Ünit\"").await.unwrap();
    assert_eq!((made.id.as_str(), made.name.as_str()), ("6f1c", "Support Line"));
    assert_eq!((made.liveness, made.phone), (Liveness::Disconnected, None));
    let seen = server.only_with_token("POST", "/api/v1/whatsapp");
    assert_eq!((seen.query.as_ref(), seen.json()), (None, json!({"name": "Support \"Ünit\""})));
}

#[tokio::test]
async fn row_2_create_without_an_id_is_garbled() {
    for data in [json!({"name": "x"}), json!({"id": "a/b"}), json!({"id": ""}), json!(null)] {
        let server = Server::answering(201, &done(&data)).await;
        let error = server.http().create(&token(), "x").await.unwrap_err();
        assert_eq!((error.class, error.status), (Class::Garbled, Some(201)));
    }
}

#[tokio::test]
async fn row_3_connect_posts_without_a_body() {
    let data = json!({"status": "qr_pending", "message": "Scan QR code in dashboard"});
    let server = Server::answering(200, &done(&data)).await;
    assert_eq!(server.http().connect(&token(), &id("6f1c-a_B")).await, Ok(()));
    let seen = server.only_with_token("POST", "/api/v1/whatsapp/6f1c-a_B/connect");
    assert_eq!((seen.query.as_ref(), seen.body.len(), seen.header("content-length")), (None, 0, Some("0")));
}

#[tokio::test]
async fn row_4_status_reads_one_session() {
    let data = json!({"id": "6f1c", "status": "connected", "phoneNumber": "919876543210", "connected": true});
    let server = Server::answering(200, &done(&data)).await;
    let session = server.http().status(&token(), &id("6f1c")).await.unwrap();
    assert_eq!((session.id, session.name.as_str()), (id("6f1c"), ""));
    assert_eq!((session.liveness, session.phone), (Liveness::Connected, Phone::parse("919876543210")));
    let seen = server.only_with_token("GET", "/api/v1/whatsapp/6f1c/status");
    assert_eq!((seen.query, seen.body.len()), (None, 0));
}

#[tokio::test]
async fn row_4_status_of_another_session_is_garbled() {
    let server = Server::answering(200, &done(&json!({"id": "other", "status": "connected"}))).await;
    assert_eq!(server.http().status(&token(), &id("6f1c")).await.unwrap_err().class, Class::Garbled);
}

#[tokio::test]
async fn row_5_disconnect_needs_no_data() {
    let server = Server::answering(200, &json!({"success": true, "message": "Session disconnected"})).await;
    assert_eq!(server.http().disconnect(&token(), &id("6f1c")).await, Ok(()));
    let seen = server.only_with_token("POST", "/api/v1/whatsapp/6f1c/disconnect");
    assert_eq!((seen.query, seen.body.len()), (None, 0));
}

#[tokio::test]
async fn row_6_external_list_sends_the_key_only() {
    let entries = json!([{"id": "6f1c", "status": "connected"}]);
    for body in [done(&entries), entries.clone()] {
        let server = Server::answering(200, &body).await;
        let sessions = server.http().external_list(&ApiKey::new("awp_hunter2")).await.unwrap();
        assert_eq!((sessions.len(), &sessions[0].id, &sessions[0].liveness), (1, &id("6f1c"), &Liveness::Connected));
        let seen = server.only("GET", "/api/external/sessions");
        assert_eq!((seen.header("x-api-key"), seen.header("authorization")), (Some("awp_hunter2"), None));
        assert_eq!((seen.query, seen.body.len()), (None, 0));
    }
}

#[tokio::test]
async fn row_7_every_error_code_has_its_class() {
    let rows = [
        (400, "VALIDATION_ERROR", "Validation failed", Class::Validation),
        (401, "UNAUTHORIZED", "Invalid token", Class::Unauthorized),
        (403, "FORBIDDEN", "No permission", Class::Forbidden),
        (403, "SUBSCRIPTION_INACTIVE", "Subscription is not active", Class::SubscriptionInactive),
        (403, "LIMIT_EXCEEDED", "Session limit reached", Class::SessionLimit),
        (403, "LIMIT_EXCEEDED", "API request limit reached", Class::RequestLimit),
        (404, "NOT_FOUND", "No such session", Class::NotFound),
        (409, "CONFLICT", "Duplicate", Class::Conflict),
        (429, "RATE_LIMITED", "Slow down", Class::RateLimited),
        (500, "INTERNAL_ERROR", "Oops", Class::Internal),
        (502, "WHATSAPP_UNAVAILABLE", "Provider error", Class::Unavailable),
    ];
    for (status, code, message, class) in rows {
        let errors = json!({"phone": "Valid phone number is required"});
        let plain = json!({"success": false, "message": message, "errors": errors});
        let mut coded = plain.clone();
        coded["code"] = json!(code);
        for body in [plain, coded] {
            let server = Server::answering(status, &body).await;
            let error = list_error(&server.http()).await;
            assert_eq!((error.class, error.status, error.message.as_str()), (class, Some(status), message), "{body}");
            assert_eq!(
                error.fields,
                BTreeMap::from([("phone".to_owned(), "Valid phone number is required".to_owned())])
            );
            assert_eq!(error.retry_after, None);
            server.only_with_token("GET", "/api/v1/whatsapp");
        }
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_a_date() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_mins(2));
    for (header, from, to) in [("17".to_owned(), 17, 17), (date, 100, 120), ("999999".to_owned(), 3600, 3600)] {
        let headers = vec![("retry-after", header)];
        let server = Server::start(Script { status: 429, headers, body: "<html>".to_owned(), silent: false }).await;
        let error = list_error(&server.http()).await;
        let wait = error.retry_after.unwrap().as_secs();
        assert!(error.class == Class::RateLimited && (from..=to).contains(&wait), "{wait}");
    }
}

#[tokio::test]
async fn login_and_refresh_send_no_header_and_read_the_tokens() {
    let data = json!({
        "accessToken": TOKEN, "refreshToken": "next", "expiresIn": "7d", "user": {"id": "u1", "tenantId": "t1"}
    });
    let server = Server::answering(200, &done(&data)).await;
    let tokens = server.http().login("a@example.com", &Password::new("pass\"word")).await.unwrap();
    hides_token(&tokens);
    assert_eq!((tokens.access, tokens.refresh), (token(), Some(Token::new("next"))));
    assert_eq!((tokens.expires_in, tokens.identity.as_deref()), (Some(Duration::from_hours(168)), Some("t1")));
    let seen = server.only("POST", "/api/auth/login");
    assert_eq!(seen.json(), json!({"email": "a@example.com", "password": "pass\"word"}));
    assert_eq!((seen.header("authorization"), seen.query.as_deref()), (None, None));

    let server = Server::answering(200, &done(&json!({"accessToken": "new", "expiresIn": 900}))).await;
    let tokens = server.http().refresh(&token()).await.unwrap();
    assert_eq!((tokens.access, tokens.refresh, tokens.identity), (Token::new("new"), None, None));
    assert_eq!(tokens.expires_in, Some(Duration::from_mins(15)));
    let seen = server.only("POST", "/api/auth/refresh");
    assert_eq!((seen.json(), seen.header("authorization")), (json!({"refreshToken": TOKEN}), None));
}

#[tokio::test]
async fn usage_and_subscription_are_read() {
    let data = json!({"sessions": {"used": 2, "limit": 5}, "apiRequests": {"used": 10, "limit": 100_000}});
    let server = Server::answering(200, &done(&data)).await;
    let usage = server.http().usage(&token()).await.unwrap();
    assert_eq!((usage.sessions, usage.requests), (Some((2, 5)), Some((10, 100_000))));
    server.only_with_token("GET", "/api/billing/usage");

    let data =
        json!({"status": "active", "plan": {"slug": "pro", "name": "Pro"}, "currentPeriodEnd": "2030-01-01T00:00:00Z"});
    let server = Server::answering(200, &done(&data)).await;
    let subscription = server.http().subscription(&token()).await.unwrap();
    assert_eq!((subscription.status.as_str(), subscription.plan.as_deref()), ("active", Some("Pro")));
    assert_eq!(subscription.period_end.as_deref(), Some("2030-01-01T00:00:00Z"));
    server.only_with_token("GET", "/api/billing/subscription");
}

#[tokio::test]
async fn a_slow_answer_is_lost_within_the_limit() {
    let server = Server::start(Script { status: 200, headers: Vec::new(), body: String::new(), silent: true }).await;
    let http = client(server.address, "", Limits { request: Duration::from_millis(200), ..Limits::default() });
    let start = Instant::now();
    assert_eq!(list_error(&http).await.class, Class::Lost);
    assert!(start.elapsed() < Duration::from_secs(5));
    server.only_with_token("GET", "/api/v1/whatsapp");
}

/// Answers every connection with these bytes after one read, then keeps it open or drops it. Counts connections.
async fn raw(bytes: &'static [u8], keep: bool) -> (SocketAddr, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            *counted.lock().unwrap() += 1;
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(bytes).await;
            if keep {
                open.push(stream);
            }
        }
    });
    (address, count)
}

#[tokio::test]
async fn a_body_that_stops_coming_is_lost_within_the_limit() {
    let (address, _) = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"success\":true", true).await;
    let http = client(address, "", Limits { request: Duration::from_millis(200), ..Limits::default() });
    assert_eq!(list_error(&http).await.class, Class::Lost);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_lost_and_not_asked_for_again() {
    let halves: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"success\":true",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"suc",
    ];
    for half in halves {
        let (address, count) = raw(half, false).await;
        let http = client(address, "", Limits::default());
        let error = http.create(&token(), "x").await.unwrap_err();
        hides_token(&error);
        assert_eq!((error.class, *count.lock().unwrap()), (Class::Lost, 1), "{}", String::from_utf8_lossy(half));
    }
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(list_error(&client(address, "", Limits::default())).await.class, Class::NotSent);
}

#[tokio::test]
async fn a_failed_handshake_is_not_sent() {
    let (address, _) = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", false).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let https =
        Http::new(&format!("https://{address}").parse().unwrap(), Limits::default(), &Reach::anywhere()).unwrap();
    assert_eq!(list_error(&https).await.class, Class::NotSent);
}

#[tokio::test]
async fn a_handshake_that_hangs_is_not_sent_within_the_connect_limit() {
    let (address, _) = raw(b"", true).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let limits = Limits { connect: Duration::from_millis(200), ..Limits::default() };
    let https = Http::new(&format!("https://{address}").parse().unwrap(), limits, &Reach::anywhere()).unwrap();
    assert_eq!(list_error(&https).await.class, Class::NotSent);
}

#[tokio::test]
async fn a_token_that_fits_no_header_is_not_sent() {
    let server = Server::answering(200, &done(&json!([]))).await;
    let error = server.http().list(&Token::new("hunter2\r\nx: y"), 1, 20).await.unwrap_err();
    hides_token(&error);
    assert_eq!(error.class, Class::NotSent);
    assert!(server.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::answering(200, &done(&json!([]))).await;
    for status in [301, 302, 303, 307, 308] {
        let headers = vec![("location", format!("http://{}/api/v1/whatsapp", target.address))];
        let server = Server::start(Script { status, headers, body: String::new(), silent: false }).await;
        let error = list_error(&server.http()).await;
        assert_eq!((error.class, error.status), (Class::Unexpected, Some(status)));
        server.only_with_token("GET", "/api/v1/whatsapp");
    }
    assert!(target.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_gets_no_credential() {
    let target = Server::answering(200, &done(&json!({"accessToken": TOKEN, "id": "a"}))).await;
    for status in [301, 302, 303, 307, 308] {
        let headers = vec![("location", format!("http://{}/", target.address))];
        let server = Server::start(Script { status, headers, body: String::new(), silent: false }).await;
        let http = server.http();
        let password = Password::new("hunter2");
        let ended = [
            http.login("a@example.com", &password).await.map(drop),
            http.refresh(&token()).await.map(drop),
            http.create(&token(), "Sales").await.map(drop),
            http.connect(&token(), &id("a")).await,
            http.external_list(&ApiKey::new("awp_key")).await.map(drop),
        ];
        for ended in &ended {
            let error = ended.as_ref().unwrap_err();
            assert_eq!((error.class, error.status), (Class::Unexpected, Some(status)));
            hides_token(error);
        }
        assert_eq!(server.seen.lock().unwrap().len(), ended.len(), "each went out once");
    }
    assert!(target.seen.lock().unwrap().is_empty());
}

/// The provider that the test below has itself run again for, with proxies in its environment.
const BEHIND_A_PROXY: &str = "TEST_PROVIDER_BEHIND_A_PROXY";

#[tokio::test]
async fn a_proxy_of_the_environment_gets_no_credential() {
    if let Ok(address) = std::env::var(BEHIND_A_PROXY) {
        let http = client(address.parse().unwrap(), "", Limits::default());
        http.login("a@example.com", &Password::new("hunter2")).await.unwrap();
        return;
    }
    let proxy = Server::answering(200, &done(&json!({"accessToken": TOKEN}))).await;
    let server = Server::answering(200, &done(&json!({"accessToken": TOKEN}))).await;
    let mut again = tokio::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "a_proxy_of_the_environment_gets_no_credential"]);
    again.env(BEHIND_A_PROXY, server.address.to_string());
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        again.env(name, format!("http://{}", proxy.address));
    }
    let output = again.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    server.only("POST", "/api/auth/login");
    assert!(proxy.seen.lock().unwrap().is_empty());
}

/// Ids that would mean something else in a URL, a header or a terminal.
fn hostile_ids() -> Vec<String> {
    let short = [
        "",
        " ",
        "..",
        ".",
        "../x",
        "..%2fx",
        "%2e%2e",
        "a/b",
        "/a",
        "a\\b",
        "//evil.example",
        "a?b=c",
        "a#b",
        "a;b",
        "a:b",
        "a@b",
        "a b",
        "a+b",
        "a.b",
        "a\n",
        "a\r\nx: y",
        "a\0",
        "\u{202e}a",
        "\u{e4}",
        "\u{ff41}",
        "\u{430}",
    ];
    short.into_iter().map(str::to_owned).chain(["x".repeat(65)]).collect()
}

#[test]
fn an_id_is_one_plain_segment_or_none_at_all() {
    for hostile in hostile_ids() {
        assert!(hostile.parse::<SessionId>().is_err(), "{hostile:?}");
        assert!(serde_json::from_value::<SessionId>(json!(hostile)).is_err(), "{hostile:?}");
    }
    for plain in ["a", "6f1c", "A-b_9", "-", "_", &"x".repeat(64)] {
        assert_eq!(id(plain).as_str(), plain);
    }
}

#[tokio::test]
async fn a_hostile_id_from_the_provider_is_counted_and_never_used() {
    for hostile in hostile_ids() {
        let list = json!({"success": true, "data": [{"id": hostile, "name": "Sales"}, {"id": "a", "name": "Sales"}]});
        let page = Server::answering(200, &list).await.http().list(&token(), 1, 20).await.unwrap();
        assert_eq!((page.sessions.len(), page.unreadable), (1, 1), "{hostile:?}");
        let made = Server::answering(201, &done(&json!({"id": hostile, "name": "Sales"}))).await;
        let error = made.http().create(&token(), "Sales").await.unwrap_err();
        assert_eq!(error.class, Class::Garbled, "{hostile:?}");
        let shown = Server::answering(200, &done(&json!({"id": hostile, "status": "connected"}))).await;
        assert_eq!(shown.http().status(&token(), &id("a")).await.unwrap_err().class, Class::Garbled, "{hostile:?}");
    }
}

#[tokio::test]
async fn an_event_path_that_leads_elsewhere_gets_no_connection() {
    let server = Server::answering(200, &json!({})).await;
    let http = server.http();
    for path in ["/../admin", "//evil.example/", "/%2e%2e/admin", "/a?token=1", "https://evil.example/", ""] {
        let events = EventsConfig {
            path: path.to_owned(),
            namespace: "/".to_owned(),
            subscribe: Vec::new(),
            qr_events: Vec::new(),
            status_events: Vec::new(),
        };
        let (sink, _inbox) = tokio::sync::mpsc::channel(1);
        assert_eq!(http.listen(&token(), &events, sink).await.class, Class::NotSent, "{path}");
    }
    assert!(server.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_above_the_limit_is_garbled() {
    let list = done(&json!([{"id": "a", "name": "x".repeat(2000)}]));
    for (body, fits) in [(list.to_string().len(), true), (list.to_string().len() - 1, false)] {
        let server = Server::answering(200, &list).await;
        let http = client(server.address, "", Limits { body, ..Limits::default() });
        let class = http.list(&token(), 1, 20).await.map(|page| page.sessions.len()).map_err(|error| error.class);
        assert_eq!(class, if fits { Ok(1) } else { Err(Class::Garbled) });
    }
    // A refusal stays a refusal, whatever it drags along.
    let server = Server::answering(404, &list).await;
    let http = client(server.address, "", Limits { body: 100, ..Limits::default() });
    assert_eq!(list_error(&http).await.class, Class::NotFound);
}

#[tokio::test]
async fn a_body_without_end_is_garbled() {
    let (address, _) =
        raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n4\r\nabcd\r\n", true).await;
    let http = client(address, "", Limits { body: 7, ..Limits::default() });
    assert_eq!(list_error(&http).await.class, Class::Garbled);
}

#[tokio::test]
async fn an_echoed_credential_is_shown_by_nothing() {
    let body = json!({
        "success": false, "message": format!("bad token {TOKEN}"), "errors": {TOKEN: format!("{TOKEN} is no token")}
    });
    for status in [200, 400, 401, 500] {
        let server = Server::answering(status, &body).await;
        let http = server.http();
        hides_token(&http);
        let error = list_error(&http).await;
        assert_eq!(error.message, "bad token (redacted)");
        assert_eq!(error.fields["(redacted)"], "(redacted) is no token");
    }
}
