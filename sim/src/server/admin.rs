//! The admin API: the provider's other side, where phones scan, people click and things break.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Context};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post, put};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::handle::Handle;
use crate::state::State;
use crate::state::codes;
use crate::state::faults::{Fault, Route};
use crate::state::hands::{HandError, Place};
use crate::state::session::Session;
use crate::state::tenant::Tenant;

/// All routes.
pub(super) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/options", get(options).put(put_options))
        .route("/tenants", get(tenants))
        .route("/tenants/{tenant}", put(put_tenant))
        .route("/tenants/{tenant}/sessions", post(create))
        .route("/tenants/{tenant}/expire-tokens", post(expire_tokens))
        .route("/tenants/{tenant}/close-sockets", post(close_sockets))
        .route("/sessions", get(sessions))
        .route("/sessions/{session}", get(session).delete(vanish))
        .route("/sessions/{session}/qr", get(qr))
        .route("/sessions/{session}/qr.png", get(qr_picture))
        .route("/sessions/{session}/{action}", post(act))
        .route("/scan", post(scan_code))
        .route("/requests", get(requests).delete(reset_requests))
        .route("/requests/counts", get(counts))
        .route("/faults", get(faults).post(arm).delete(disarm_all))
        .route("/faults/{id}", delete(disarm))
        .with_state(handle)
}

struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<HandError> for Failure {
    fn from(error: HandError) -> Self {
        let status = match error {
            HandError::UnknownTenant(_) | HandError::UnknownSession(_) => StatusCode::NOT_FOUND,
            HandError::BadSettings(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::CONFLICT,
        };
        Self(status, error.to_string())
    }
}

type Outcome = Result<Json<Value>, Failure>;

/// Any media type and, where a default exists, no body at all: it is meant to be called with curl.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map_err(|error| Failure(StatusCode::BAD_REQUEST, error.to_string()))
}

fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}

#[derive(Deserialize)]
struct Whose {
    tenant: Option<String>,
}

fn session_view(tenant: &Tenant, session: &Session) -> Value {
    json!({
        "id": session.id,
        "name": session.name,
        "tenant": tenant.name,
        "status": session.status.as_str(),
        "connected": session.is_connected(),
        "phoneNumber": session.phone_number,
        "hasCredentials": session.has_credentials,
        "banned": session.banned,
        "codeNumber": session.shown.as_ref().map(|shown| shown.number),
    })
}

fn tenant_view(tenant: &Tenant) -> Value {
    let mut settings = json!(tenant.settings);
    if let Some(members) = settings.as_object_mut() {
        members.remove("password");
        members.remove("apiKey");
    }
    json!({
        "name": tenant.name,
        "id": tenant.id,
        "sessions": tenant.sessions.len(),
        "requestsUsed": tenant.requests_used,
        "settings": settings,
    })
}

async fn options(Context(handle): Context<Handle>) -> Outcome {
    Ok(Json(json!(handle.read(|state| state.api().clone()))))
}

async fn put_options(Context(handle): Context<Handle>, body: Bytes) -> Outcome {
    let patch: Value = parse(&body)?;
    handle.with(|state| state.patch_api(&patch))?;
    options(Context(handle)).await
}

async fn tenants(Context(handle): Context<Handle>) -> Outcome {
    Ok(Json(handle.read(|state| state.tenants().map(tenant_view).collect())))
}

async fn put_tenant(Context(handle): Context<Handle>, Path(tenant): Path<String>, body: Bytes) -> Outcome {
    let patch: Value = parse(&body)?;
    handle.with(|state| state.patch_tenant(&tenant, &patch))?;
    Ok(Json(handle.read(|state| state.tenant(&tenant).map(tenant_view)).unwrap_or_default()))
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

async fn create(Context(handle): Context<Handle>, Path(tenant): Path<String>, body: Bytes) -> Outcome {
    let Name { name } = parse(&body)?;
    Ok(Json(json!({"id": handle.create_out_of_band(&tenant, &name)?})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expiry {
    #[serde(default)]
    refresh_too: bool,
}

async fn expire_tokens(Context(handle): Context<Handle>, Path(tenant): Path<String>, body: Bytes) -> Outcome {
    let expiry: Expiry = parse(&body)?;
    handle.expire_tokens(&tenant, expiry.refresh_too);
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Closing {
    #[serde(default)]
    hard: bool,
}

async fn close_sockets(Context(handle): Context<Handle>, Path(tenant): Path<String>, body: Bytes) -> Outcome {
    let closing: Closing = parse(&body)?;
    handle.close_sockets(&tenant, closing.hard);
    Ok(done())
}

async fn sessions(Context(handle): Context<Handle>, Query(whose): Query<Whose>) -> Outcome {
    let wanted = |tenant: &&Tenant| whose.tenant.as_ref().is_none_or(|name| *name == tenant.name);
    Ok(Json(handle.read(|state| {
        state
            .tenants()
            .filter(wanted)
            .flat_map(|tenant| tenant.sessions.iter().map(move |session| session_view(tenant, session)))
            .collect()
    })))
}

fn at<R>(
    handle: &Handle,
    session: &str,
    whose: &Whose,
    act: impl FnOnce(&mut State, &Place) -> Result<R, HandError>,
) -> Result<R, Failure> {
    Ok(handle.with(|state| state.find(whose.tenant.as_deref(), session).and_then(|place| act(state, &place)))?)
}

async fn session(Context(handle): Context<Handle>, Path(session): Path<String>, Query(whose): Query<Whose>) -> Outcome {
    let view = |state: &mut State, place: &Place| {
        let tenant = state.tenant(&place.tenant);
        let view = tenant.and_then(|tenant| tenant.session(&place.id).map(|session| session_view(tenant, session)));
        Ok(view.unwrap_or_default())
    };
    at(&handle, &session, &whose, view).map(Json)
}

async fn vanish(Context(handle): Context<Handle>, Path(session): Path<String>, Query(whose): Query<Whose>) -> Outcome {
    let vanish = |state: &mut State, place: &Place| {
        state.vanish(place);
        Ok(())
    };
    at(&handle, &session, &whose, vanish)?;
    Ok(done())
}

async fn qr(Context(handle): Context<Handle>, Path(session): Path<String>, Query(whose): Query<Whose>) -> Outcome {
    let code = at(&handle, &session, &whose, |state, place| state.current_code(place).ok_or(HandError::ShowsNoCode))?;
    let milliseconds = u64::try_from(code.expires_in.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(json!({"qr": code.code, "number": code.number, "expiresInMs": milliseconds})))
}

async fn qr_picture(
    Context(handle): Context<Handle>,
    Path(session): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<impl IntoResponse, Failure> {
    let code = at(&handle, &session, &whose, |state, place| state.current_code(place).ok_or(HandError::ShowsNoCode))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], codes::picture(&code.code)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Details {
    phone_number: Option<String>,
    name: Option<String>,
    status: Option<String>,
}

async fn act(
    Context(handle): Context<Handle>,
    Path((session, action)): Path<(String, String)>,
    Query(whose): Query<Whose>,
    body: Bytes,
) -> Outcome {
    let details: Details = parse(&body)?;
    let required =
        |value: Option<String>, name: &str| value.ok_or_else(|| HandError::BadSettings(format!("{name} is required")));
    let act = |state: &mut State, place: &Place| {
        match action.as_str() {
            "scan" => {
                let phone_number = state.scan(place, details.phone_number.as_deref())?;
                return Ok(json!({"ok": true, "phoneNumber": phone_number}));
            }
            "logout" => state.log_out(place),
            "drop" => state.drop_connection(place)?,
            "ban" => state.ban(place),
            "status" => state.set_status(place, &required(details.status, "status")?),
            "rename" => state.rename(place, &required(details.name, "name")?),
            other => return Err(HandError::BadSettings(format!("there is no action {other:?}"))),
        }
        Ok(json!({"ok": true}))
    };
    at(&handle, &session, &whose, act).map(Json)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scan {
    qr: String,
    phone_number: Option<String>,
}

async fn scan_code(Context(handle): Context<Handle>, body: Bytes) -> Outcome {
    let scan: Scan = parse(&body)?;
    let place = handle.scan_code(&scan.qr, scan.phone_number.as_deref())?;
    Ok(Json(json!({"ok": true, "tenant": place.tenant, "session": place.id})))
}

#[derive(Deserialize)]
struct Filter {
    tenant: Option<String>,
    route: Option<Route>,
}

async fn requests(Context(handle): Context<Handle>, Query(filter): Query<Filter>) -> Outcome {
    let mut entries = handle.requests();
    entries.retain(|entry| {
        filter.route.is_none_or(|route| route == entry.route)
            && filter.tenant.as_ref().is_none_or(|tenant| entry.tenant.as_ref() == Some(tenant))
    });
    Ok(Json(json!(entries)))
}

async fn reset_requests(Context(handle): Context<Handle>) -> Outcome {
    handle.reset_requests();
    Ok(done())
}

async fn counts(Context(handle): Context<Handle>) -> Outcome {
    Ok(Json(json!(handle.counts())))
}

#[derive(Serialize)]
struct Armed {
    id: u64,
}

async fn faults(Context(handle): Context<Handle>) -> Outcome {
    Ok(Json(handle.read(|state| json!(state.armed()))))
}

async fn arm(Context(handle): Context<Handle>, body: Bytes) -> Outcome {
    let fault: Fault = parse(&body)?;
    Ok(Json(json!(Armed { id: handle.arm(fault) })))
}

async fn disarm(Context(handle): Context<Handle>, Path(id): Path<u64>) -> Outcome {
    if handle.disarm(id) { Ok(done()) } else { Err(Failure(StatusCode::NOT_FOUND, format!("there is no fault {id}"))) }
}

async fn disarm_all(Context(handle): Context<Handle>) -> Outcome {
    handle.disarm_all();
    Ok(done())
}
