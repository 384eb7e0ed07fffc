//! Where a call may go and whose certificate is believed, on real sockets with real TLS.
#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::{accept_async, tungstenite::Message};
use whatsapp_operator::provider::{
    Class, EventsConfig, Limits, Provider, SocketEvent, Token,
    http::Http,
    reach::{Addresses, INVALID_CERTIFICATE, NO_ADDRESS, Reach, UNKNOWN_AUTHORITY},
};

#[path = "support/authority.rs"]
mod authority;

/// A provider with a certificate of a private authority: an empty list for whoever asks, and a socket that accepts.
struct Private {
    address: SocketAddr,
    authority: String,
    connections: Arc<AtomicUsize>,
}

impl Private {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (authority, acceptor) = authority::private(&["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not believe the certificate hangs up here.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        Box::pin(serve(stream)).await;
                    }
                });
            }
        });
        Self { address, authority, connections }
    }

    fn http(&self, reach: &Reach) -> Http {
        let base = format!("https://localhost:{}", self.address.port());
        Http::new(&base.parse().unwrap(), Limits::default(), reach).unwrap()
    }
}

/// REST by one read; a socket when the path is Engine.IO's.
async fn serve(mut stream: TlsStream<TcpStream>) {
    let mut first = [0; 15];
    let Ok(_) = stream.read_exact(&mut first).await else { return };
    if first.starts_with(b"GET /socket.io/") {
        let stream = Rewound { head: first.to_vec(), stream };
        let mut socket = accept_async(stream).await.unwrap();
        let open = r#"0{"sid":"x","pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}"#;
        socket.send(Message::text(open)).await.unwrap();
        let _ = socket.next().await;
        socket.send(Message::text(r#"40{"sid":"y"}"#)).await.unwrap();
        while socket.next().await.is_some() {}
        return;
    }
    let mut rest = [0; 4096];
    let _ = stream.read(&mut rest).await;
    let body = r#"{"success":true,"data":[],"pagination":{"page":1,"limit":100,"total":0,"totalPages":0}}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A stream whose first bytes were looked at.
struct Rewound {
    head: Vec<u8>,
    stream: TlsStream<TcpStream>,
}

impl tokio::io::AsyncRead for Rewound {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if self.head.is_empty() {
            return std::pin::Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.head.len().min(buffer.remaining());
        let head: Vec<u8> = self.head.drain(..count).collect();
        buffer.put_slice(&head);
        std::task::Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Rewound {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn events() -> EventsConfig {
    EventsConfig {
        path: "/socket.io/".to_owned(),
        namespace: "/".to_owned(),
        subscribe: Vec::new(),
        qr_events: Vec::new(),
        status_events: Vec::new(),
    }
}

/// Whether the event stream came up, or how it failed.
async fn stream(http: &Http) -> Result<(), Class> {
    let (sink, mut inbox) = mpsc::channel(8);
    let (token, events) = (Token::new("t"), events());
    tokio::select! {
        error = http.listen(&token, &events, sink) => Err(error.class),
        event = timeout(Duration::from_secs(20), inbox.recv()) => {
            assert_eq!(event.unwrap(), Some(SocketEvent::Live));
            Ok(())
        }
    }
}

#[tokio::test]
async fn a_private_authority_is_believed_by_both_only_when_it_is_named() {
    let provider = Private::start().await;
    let strange = provider.http(&Reach::anywhere());
    let error = strange.list(&Token::new("t"), 1, 100).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (Class::NotSent, UNKNOWN_AUTHORITY));
    assert_eq!(stream(&strange).await, Err(Class::NotSent));
    let named = provider.http(&Reach::anywhere().trusting(provider.authority.as_bytes()).unwrap());
    assert_eq!(named.list(&Token::new("t"), 1, 100).await.unwrap().total, Some(0));
    assert_eq!(stream(&named).await, Ok(()));
    let base = format!("https://127.0.0.1:{}", provider.address.port());
    let reach = Reach::anywhere().trusting(provider.authority.as_bytes()).unwrap();
    let misnamed = Http::new(&base.parse().unwrap(), Limits::default(), &reach).unwrap();
    let error = misnamed.list(&Token::new("t"), 1, 100).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (Class::NotSent, INVALID_CERTIFICATE));
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_gets_no_connection_from_either() {
    let provider = Private::start().await;
    let guarded = Reach::default().trusting(provider.authority.as_bytes()).unwrap();
    let http = provider.http(&guarded);
    let error = http.list(&Token::new("t"), 1, 100).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (Class::NotSent, NO_ADDRESS));
    assert_eq!(stream(&http).await, Err(Class::NotSent));
    assert_eq!(provider.connections.load(Ordering::Relaxed), 0);

    let addresses = Addresses { anywhere: false, allowed: vec!["127.0.0.0/8".parse().unwrap()] };
    let allowed = Reach::new(addresses).trusting(provider.authority.as_bytes()).unwrap();
    let http = provider.http(&allowed);
    assert!(http.list(&Token::new("t"), 1, 100).await.is_ok());
    assert_eq!(stream(&http).await, Ok(()));
}
