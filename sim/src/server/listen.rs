//! A listener whose connections can be reset while a call is under way, which no HTTP answer can imitate.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::ServiceExt as _;

/// Cuts one connection; every request carries that of its connection among its extensions.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    closed: CancellationToken,
    reset: Arc<AtomicBool>,
}

impl Cut {
    /// Resets the connection: the peer sees an error instead of an answer or a farewell.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
        self.closed.cancel();
    }
}

/// A connection that fails as soon as it is cut, even when it has become a WebSocket.
struct Severable {
    stream: TcpStream,
    cut: Cut,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Severable {
    fn new(stream: TcpStream, cut: Cut) -> Self {
        let closed = Box::pin(cut.closed.clone().cancelled_owned());
        Self { stream, cut, closed }
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.closed.is_cancelled() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Severable {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl Drop for Severable {
    fn drop(&mut self) {
        if self.cut.reset.load(Ordering::SeqCst) {
            // Without lingering, closing sends a reset instead of a farewell.
            let _ = self.stream.set_zero_linger();
        }
    }
}

/// Serves until stopped, then closes all connections.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => {
                // A connection that is gone before it is accepted concerns nobody else.
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let cut = Cut { closed: stop.child_token(), reset: Arc::default() };
                connections.spawn(connection(stream, router.clone(), cut));
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, cut: Cut) {
    let io = TokioIo::new(Severable::new(stream, cut.clone()));
    let closed = cut.closed.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(cut.clone());
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new().serve_connection(io, service).with_upgrades();
    tokio::select! {
        () = closed.cancelled() => {}
        _ = connection => {}
    }
}
