//! Answers a few pages on HTTP: probes and metrics. What they say comes from whoever serves them.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Connections at once; who comes after them waits.
const CONNECTIONS: usize = 64;
/// From accepting a connection to the end of its one answer.
const LIFE: Duration = Duration::from_secs(10);
/// After no connection could be accepted, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// Plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// What is said to one request.
pub struct Answer {
    /// 200, or 503.
    pub well: bool,
    /// The type of the body.
    pub kind: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A line of text.
    #[must_use]
    pub fn line(well: bool, text: &str) -> Self {
        Self { well, kind: TEXT, body: format!("{text}\n") }
    }
}

/// What makes the answers of one path. It must not block.
pub type Page = Arc<dyn Fn() -> Answer + Send + Sync>;

/// Pages by their paths.
pub type Pages = Vec<(&'static str, Page)>;

/// Listens at HOST:PORT.
///
/// # Errors
/// When the host is unknown or not of this machine, or the port is taken.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers until `stop`. One connection carries one request, so that nobody can keep it.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    let router = pages
        .into_iter()
        .fold(Router::new(), |router, (path, page)| router.route(path, get(move || async move { respond(page()) })));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(timeout(LIFE, talk(stream, router.clone())));
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection could be accepted");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn talk(stream: TcpStream, router: Router) {
    let service = TowerToHyperService::new(router);
    // A caller that breaks off is no concern of ours.
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
}

fn respond(Answer { well, kind, body }: Answer) -> impl IntoResponse {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CONTENT_TYPE, kind)], body)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn pages_are_answered_one_to_a_connection_until_the_end() {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(bind(&address.to_string()).await.is_err(), "the port is taken");
        let pages: Pages = vec![
            ("/good", Arc::new(|| Answer::line(true, "fine"))),
            ("/bad", Arc::new(|| Answer::line(false, "not yet"))),
        ];
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, pages, stop.clone()));
        for (request, status, body) in [
            ("GET /good HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200", "\r\n\r\nfine\n"),
            ("GET /bad HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 503", "\r\n\r\nnot yet\n"),
            ("GET /other HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 404", ""),
            ("POST /good HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 405", ""),
        ] {
            let answer = ask(address, request).await;
            assert!(answer.starts_with(status) && answer.ends_with(body), "{request}: {answer}");
        }
        stop.cancel();
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_caller_is_hung_up_on() {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _served = tokio::spawn(serve(listener, Vec::new(), CancellationToken::new()));
        let answer = ask(address, "GET /good HTTP/1.1\r\n").await;
        assert_eq!(answer, "");
    }
}
