//! Whom the program meets: a DNS server, and a provider that speaks TLS.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE, rdata::RData};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UdpSocket},
};

use crate::authority;

/// Knows some names, which all lead to this machine, and denies the others.
pub struct Dns {
    pub address: IpAddr,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Dns {
    pub async fn start(known: &'static [&'static str]) -> Self {
        let socket = free().await;
        let address = socket.local_addr().unwrap().ip();
        let asked = Arc::<Mutex<BTreeSet<String>>>::default();
        let noted = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let query = Packet::parse(&buffer[..length]).unwrap();
                let question = &query.questions[0];
                let name = question.qname.to_string();
                let mut reply = Packet::new_reply(query.id());
                reply.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
                if !known.contains(&name.as_str()) {
                    *reply.rcode_mut() = RCODE::NameError;
                } else if question.qtype == QTYPE::TYPE(TYPE::A) {
                    let data = RData::A(Ipv4Addr::LOCALHOST.into());
                    reply.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 5, data));
                }
                reply.questions.push(question.clone());
                let bytes = reply.build_bytes_vec().unwrap();
                noted.lock().unwrap().insert(name);
                let _ = socket.send_to(&bytes, from).await;
            }
        });
        Self { address, asked }
    }

    pub fn was_asked(&self, name: &str) -> bool {
        self.asked.lock().unwrap().contains(name)
    }
}

/// resolv.conf knows addresses and no ports, so an address of this machine is looked for whose port 53 is free.
async fn free() -> UdpSocket {
    let mut last = io::Error::other("none tried");
    for number in 1..=254 {
        match UdpSocket::bind((Ipv4Addr::new(127, 53, 0, number), 53)).await {
            Ok(socket) => return socket,
            Err(error) => last = error,
        }
    }
    panic!("no address of this machine lets its port 53 be used: {last}")
}

/// A certificate authority and what it vouches for: TLS in front of a server that has none.
pub struct Tls {
    pub authority: String,
    pub port: u16,
}

impl Tls {
    pub async fn start(names: &[&str], behind: SocketAddr) -> Self {
        let (authority, acceptor) = authority::private(names);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not believe the certificate hangs up here.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut server = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { authority, port }
    }
}
