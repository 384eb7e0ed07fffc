//! Which addresses may be connected to and whose certificates are believed: one answer for HTTP and the event stream.
//!
//! A name on the allow-list may still lead anywhere, so it is the resolved address that is asked about, each time.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::net::lookup_host;

use super::socket::Admit;

/// What is said of a name that leads nowhere one may go.
pub const NO_ADDRESS: &str = "its name leads to no public address; see the operator's --allowed-cidr";

/// What is said of a certificate that nobody known here vouches for.
pub const UNKNOWN_AUTHORITY: &str = "its certificate is of no known authority; see the operator's --provider-ca-file";

/// What is said of a certificate that is not meant for the name or not for today.
pub const INVALID_CERTIFICATE: &str = "its certificate does not hold for its name, or not now";

/// What is said of a failed connection that failed for the server's certificate.
pub(super) fn distrusted(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<rustls::Error>() {
            // An authority that was made anew under its old name has another key.
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => return Some(UNKNOWN_AUTHORITY),
            Some(rustls::Error::InvalidCertificate(_)) => return Some(INVALID_CERTIFICATE),
            _ => {}
        }
        // An I/O error's cause is the cause of what it wraps, which is passed over that way.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Which addresses may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// All of them.
    pub anywhere: bool,
    /// Also these, besides public ones.
    pub allowed: Vec<IpNet>,
}

impl Addresses {
    /// Whether this one may be connected to.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> bool {
        let address = embedded(address);
        self.anywhere || is_public(address) || self.allowed.iter().any(|network| network.contains(&address))
    }
}

/// The IPv4 address that an IPv6 one only wraps: mapped, 6to4 (RFC 3056) or NAT64 (RFC 6052).
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        [0x2002, high, low, ..] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        _ => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let reserved = match v4.octets() {
        // Of 192.0.0.0/24, which is for protocols, some clouds serve their metadata.
        [0 | 240.., ..] | [192, 0, 0, _] => true,
        // Shared by the customers of a carrier.
        [100, second, ..] => (64..128).contains(&second),
        // For benchmarks of networks, and used inside of some.
        [198, second, ..] => (18..20).contains(&second),
        _ => false,
    };
    !(reserved
        || v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation())
}

/// Public ones are handed out of `2000::/3` only, and what of that is for protocols, tunnels and documentation is not.
/// Everything else is on this machine, on this network, or wraps an IPv4 address in a way that is not public either.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    match v6.segments() {
        [0x2001, second, ..] => second > 0x1ff && second != 0xdb8,
        [0x3fff, second, ..] => second > 0xfff,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// How the provider is reached.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Which addresses may be connected to.
    pub addresses: Addresses,
    /// Whose certificates are believed; `None` leaves it to the system.
    tls: Option<Arc<ClientConfig>>,
}

/// Why more certificates cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file holds none, or something else.
    #[error("it holds no PEM certificate that can be used")]
    Unusable,
    /// The process has no default TLS provider yet.
    #[error("no TLS provider is installed")]
    NoTlsProvider,
}

impl Reach {
    /// These addresses, and the certificates that the system believes.
    #[must_use]
    pub fn new(addresses: Addresses) -> Self {
        Self { addresses, tls: None }
    }

    /// Any address, and the certificates that the system believes.
    #[must_use]
    pub fn anywhere() -> Self {
        Self::new(Addresses { anywhere: true, allowed: Vec::new() })
    }

    /// Also believes the certificates in `pem`. Needs a process-wide TLS provider.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn trusting(mut self, pem: &[u8]) -> Result<Self, RootsError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(RootsError::NoTlsProvider);
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| RootsError::Unusable)?;
            roots.add(certificate).map_err(|_| RootsError::Unusable)?;
        }
        if roots.is_empty() {
            return Err(RootsError::Unusable);
        }
        // A system without any is no reason to fail: these may be all that is needed.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        self.tls = Some(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
        Ok(self)
    }

    /// For the event stream.
    #[must_use]
    pub fn admit(&self) -> Admit {
        let addresses = self.addresses.clone();
        Arc::new(move |address| addresses.admit(address))
    }

    /// For the event stream, which speaks HTTP/1.1 only.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.tls.clone()
    }

    /// For HTTP, which may speak either version.
    #[must_use]
    pub fn http_tls(&self) -> Option<ClientConfig> {
        let mut config = ClientConfig::clone(self.tls.as_ref()?);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Some(config)
    }
}

impl Resolve for Addresses {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.clone();
        Box::pin(async move {
            let found = lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found.filter(|place| addresses.admit(place.ip())).collect();
            if admitted.is_empty() {
                return Err(io::Error::other(NO_ADDRESS).into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_connected_to() {
        let addresses = Addresses::default();
        for refused in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.192",
            "198.18.0.1",
            "198.19.255.255",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::7f00:1",
            "::ffff:0:7f00:1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fd00:ec2::254",
            "fec0::1",
            "4000::1",
        ] {
            assert!(!addresses.admit(refused.parse().unwrap()), "{refused}");
        }
        for admitted in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450:4001::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(addresses.admit(admitted.parse().unwrap()), "{admitted}");
        }
    }

    #[test]
    fn a_listed_network_is_connected_to_and_its_neighbour_is_not() {
        let addresses =
            Addresses { anywhere: false, allowed: vec!["10.1.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()] };
        for (address, admitted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00::5", true),
            ("fd00:0:0:1::5", false),
        ] {
            assert_eq!(addresses.admit(address.parse().unwrap()), admitted, "{address}");
        }
    }

    #[tokio::test]
    async fn of_the_addresses_of_a_name_those_admitted_are_the_ones_connected_to() {
        let of_localhost = async |allowed: &[&str]| {
            let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
            let addresses = Addresses { anywhere: false, allowed };
            let found = addresses.resolve("localhost".parse().unwrap()).await;
            found.map(|found| found.map(|place| place.ip()).collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        assert_eq!(of_localhost(&[]).await, Err(NO_ADDRESS.to_owned()));
        let found = of_localhost(&["127.0.0.0/8"]).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_ipv4), "{found:?}");
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for pem in [&b""[..], b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(Reach::default().trusting(pem), Err(RootsError::Unusable)));
        }
    }
}
