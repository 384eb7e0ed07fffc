//! HTTP in front of the state: requests in, answers and resets out.

use std::future::pending;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request as HttpRequest, State as Context};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use socketioxide::layer::SocketIoLayer;

use super::handle::Handle;
use super::listen::Cut;
use crate::state::{Answer, Plan, Reply, Request};

const MAX_BODY: usize = 1024 * 1024;

#[derive(Clone)]
struct Front {
    handle: Handle,
    socket_path: Arc<str>,
}

/// Socket.IO at its path, the API everywhere else.
pub(super) fn router(handle: Handle, sockets: SocketIoLayer, socket_path: &str) -> Router {
    let front = Front { handle, socket_path: socket_path.trim_end_matches('/').into() };
    Router::new()
        .fallback(call)
        .with_state(front.clone())
        .layer(sockets)
        .layer(middleware::from_fn_with_state(front, handshake))
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn translate(request: &HttpRequest) -> Request {
    let bearer = header_text(request.headers(), "authorization")
        .and_then(|value| value.strip_prefix("Bearer ").map(|token| token.trim().to_owned()));
    Request {
        method: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        bearer,
        api_key: header_text(request.headers(), "x-api-key"),
        body: Vec::new(),
    }
}

async fn call(Context(front): Context<Front>, http: HttpRequest) -> Response {
    let cut = http.extensions().get::<Cut>().cloned();
    let mut request = translate(&http);
    match to_bytes(http.into_body(), MAX_BODY).await {
        Ok(body) => request.body = body.to_vec(),
        Err(_) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
    let handle = front.handle;
    // In a task of its own: a client that gives up waiting does not take the effect of its call back.
    let work = tokio::spawn(async move {
        let plan = handle.with(|state| state.begin(&request));
        carry_out(&handle, &request, &plan).await
    });
    match work.await {
        Ok(reply) => respond(reply, cut).await.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response()),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn handshake(Context(front): Context<Front>, http: HttpRequest, next: Next) -> Response {
    let is_handshake = http.uri().path().trim_end_matches('/') == &*front.socket_path
        && !http.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("sid=")));
    if !is_handshake {
        return next.run(http).await;
    }
    let request = translate(&http);
    let Some(plan) = front.handle.with(|state| state.begin_handshake(&request)) else { return next.run(http).await };
    let cut = http.extensions().get::<Cut>().cloned();
    let reply = carry_out(&front.handle, &request, &plan).await;
    match respond(reply, cut).await {
        Some(response) => response,
        None => next.run(http).await,
    }
}

async fn carry_out(handle: &Handle, request: &Request, plan: &Plan) -> Reply {
    // No timer without a delay: even a sleep of zero waits for the next millisecond.
    if !plan.delay().is_zero() {
        tokio::time::sleep(plan.delay()).await;
    }
    let reply = handle.with(|state| state.finish(request, plan));
    if !plan.delay_after().is_zero() {
        tokio::time::sleep(plan.delay_after()).await;
    }
    reply
}

/// Nothing if the request may go on.
async fn respond(reply: Reply, cut: Option<Cut>) -> Option<Response> {
    match reply {
        Reply::Answer(answer) => Some(render(answer)),
        Reply::Pass => None,
        Reply::Reset => {
            if let Some(cut) = cut {
                cut.reset();
            }
            pending().await
        }
    }
}

fn render(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
