//! Where a call may go: an account must not be able to send its credentials, or ours, to just any host.

use std::net::IpAddr;

use url::{Host, Url};

use super::reach::Addresses;

/// Which base URLs may be called.
#[derive(Clone, Debug)]
pub struct Places {
    /// `http://`, loopback addresses and any host are fine.
    pub insecure: bool,
    /// Otherwise only these hosts: lower case, no trailing dot, with the port unless it is 443.
    pub hosts: Vec<String>,
    /// And only these addresses, which a URL may name itself.
    pub addresses: Addresses,
}

/// Why a base URL may not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none.
    #[error("the base URL is not an http(s) URL without user, query and fragment")]
    NotAUrl,
    /// It is not encrypted.
    #[error("the base URL is http://, over which credentials would travel unencrypted")]
    Insecure,
    /// Its host is not on the list.
    #[error("the host {0} is not on the operator's list")]
    Host(String),
    /// It names an address that may not be connected to.
    #[error("the address {0} is not a public one")]
    Address(IpAddr),
}

impl Places {
    /// The URL, if it may be called.
    ///
    /// # Errors
    /// Why it may not.
    pub fn admit(&self, base_url: &str) -> Result<Url, Refused> {
        let url: Url = base_url.parse().map_err(|_| Refused::NotAUrl)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let Some(host) = url.host_str().filter(|_| plain) else { return Err(Refused::NotAUrl) };
        if self.insecure {
            return Ok(url);
        }
        if url.scheme() != "https" {
            return Err(Refused::Insecure);
        }
        let place = match url.port() {
            Some(port) => format!("{}:{port}", normal(host)),
            None => normal(host),
        };
        if !self.hosts.iter().any(|allowed| normal(allowed) == place) {
            return Err(Refused::Host(place));
        }
        // A name is asked about when it is resolved; an address is not.
        let literal = match url.host() {
            Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
            Some(Host::Domain(_)) | None => None,
        };
        match literal.filter(|address| !self.addresses.admit(*address)) {
            Some(address) => Err(Refused::Address(address)),
            None => Ok(url),
        }
    }
}

/// One spelling for all those of one base URL, by which tenants are told apart.
#[must_use]
pub fn spelling(base_url: &str) -> String {
    let Ok(url) = base_url.parse::<Url>() else { return base_url.to_owned() };
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let host = normal(url.host_str().unwrap_or_default());
    format!("{}://{host}{port}{}", url.scheme(), url.path().trim_end_matches('/'))
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_over_https() {
        let places = Places {
            insecure: false,
            hosts: ["api.actiwapi.com", "local.test:8443", "10.0.0.1", "1.1.1.1"].map(str::to_owned).to_vec(),
            addresses: Addresses::default(),
        };
        for good in [
            "https://api.actiwapi.com",
            "https://API.actiwapi.com./x",
            "https://api.actiwapi.com:443",
            "https://local.test:8443",
        ] {
            assert!(places.admit(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://api.actiwapi.com", Refused::Insecure),
            ("https://api.actiwapi.com:8443", Refused::Host("api.actiwapi.com:8443".to_owned())),
            ("https://api.actiwapi.com.evil.example", Refused::Host("api.actiwapi.com.evil.example".to_owned())),
            ("https://user@api.actiwapi.com", Refused::NotAUrl),
            ("https://api.actiwapi.com/?a=b", Refused::NotAUrl),
            ("ftp://api.actiwapi.com", Refused::NotAUrl),
            ("api.actiwapi.com", Refused::NotAUrl),
            ("https://127.0.0.1", Refused::Host("127.0.0.1".to_owned())),
            ("https://10.0.0.1", Refused::Address(IpAddr::from([10, 0, 0, 1]))),
        ] {
            assert_eq!(places.admit(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn insecure_lifts_scheme_and_list_and_nothing_else() {
        let places = Places { insecure: true, hosts: Vec::new(), addresses: Addresses::default() };
        assert!(places.admit("http://127.0.0.1:8080").is_ok());
        assert_eq!(places.admit("http://u:p@127.0.0.1"), Err(Refused::NotAUrl));
    }

    #[test]
    fn one_base_url_has_one_spelling() {
        for other in ["https://API.actiwapi.com", "https://api.actiwapi.com/", "https://api.actiwapi.com.:443//"] {
            assert_eq!(spelling(other), "https://api.actiwapi.com", "{other}");
        }
        for other in ["http://api.actiwapi.com", "https://api.actiwapi.com:8443", "https://api.actiwapi.com/v1"] {
            assert_eq!(spelling(other), other);
        }
    }
}
