//! Where a call may go: an account must not be able to send its credentials, or ours, to just any host.

use std::net::IpAddr;

use url::{Host, Url};

use super::reach::Addresses;

/// Which base URLs may be called.
#[derive(Clone, Debug)]
pub struct Places {
    /// `http://`, loopback addresses and any host are fine.
    pub insecure: bool,
    /// Otherwise only these hosts, with the port unless it is 443.
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
        let place = place(&url, host);
        if !self.hosts.iter().any(|allowed| listed(allowed).as_ref() == Some(&place)) {
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

/// Host and port, in one spelling: lower case, no trailing dot, no port 443.
fn place(url: &Url, host: &str) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", normal(host)),
        None => normal(host),
    }
}

/// An entry of the list in the same spelling; `None` if it is more or less than a host and a port.
fn listed(entry: &str) -> Option<String> {
    let url: Url = format!("https://{entry}").parse().ok()?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && (url.path(), url.query(), url.fragment()) == ("/", None, None);
    url.host_str().filter(|_| bare).map(|host| place(&url, host))
}

/// Whether the event stream may be there: below the base URL, by segments that stand for nothing but themselves.
/// Admission says the same, but an object may be older than its rules.
#[must_use]
pub fn is_events_path(path: &str) -> bool {
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'))
    };
    let segments = path.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    segments.is_some_and(|segments| segments.split('/').all(plain))
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
    fn no_spelling_of_a_url_leads_past_the_list() {
        let places = Places {
            insecure: false,
            hosts: ["api.actiwapi.com", "127.0.0.1", "169.254.169.254", "[::1]", "[fd00:ec2::254]"]
                .map(str::to_owned)
                .to_vec(),
            addresses: Addresses::default(),
        };
        let address = |text: &str| Refused::Address(text.parse().unwrap());
        let host = |text: &str| Refused::Host(text.to_owned());
        for (bad, why) in [
            // Before and behind the host.
            ("https://api.actiwapi.com@evil.example", Refused::NotAUrl),
            ("https://api.actiwapi.com:443@evil.example", Refused::NotAUrl),
            ("https://:@evil.example", host("evil.example")),
            ("https://evil.example/api.actiwapi.com", host("evil.example")),
            ("https://evil.example\\@api.actiwapi.com", host("evil.example")),
            ("https://evil.example?api.actiwapi.com", Refused::NotAUrl),
            ("https://evil.example#@api.actiwapi.com", Refused::NotAUrl),
            ("//api.actiwapi.com", Refused::NotAUrl),
            ("https:evil.example", host("evil.example")),
            ("javascript:alert(1)//api.actiwapi.com", Refused::NotAUrl),
            ("", Refused::NotAUrl),
            // In the host itself.
            ("https://api.actiwapi.com%2eevil.example", host("api.actiwapi.com.evil.example")),
            ("https://api.actiwapi.com%00.evil.example", Refused::NotAUrl),
            ("https://api.actiwapi.com%2f.evil.example", Refused::NotAUrl),
            ("https://\u{430}pi.actiwapi.com", host("xn--pi-6kc.actiwapi.com")),
            ("https://api.actiwapi.com\u{3002}evil.example", host("api.actiwapi.com.evil.example")),
            ("https://xn--api-.actiwapi.com", Refused::NotAUrl),
            ("https://.api.actiwapi.com", host(".api.actiwapi.com")),
            // In the port.
            ("https://api.actiwapi.com:80", host("api.actiwapi.com:80")),
            ("https://api.actiwapi.com:0", host("api.actiwapi.com:0")),
            ("https://api.actiwapi.com:65536", Refused::NotAUrl),
            ("https://api.actiwapi.com:443:443", Refused::NotAUrl),
            // Addresses, however they are written: even listed, they must be public.
            ("https://2130706433", address("127.0.0.1")),
            ("https://0x7f.1", address("127.0.0.1")),
            ("https://0177.0.0.1", address("127.0.0.1")),
            ("https://127.1", address("127.0.0.1")),
            ("https://0xa9fea9fe", address("169.254.169.254")),
            ("https://\u{ff11}\u{ff12}\u{ff17}.0.0.1", address("127.0.0.1")),
            ("https://[::1]", address("::1")),
            ("https://[0:0:0:0:0:0:0:1]", address("::1")),
            ("https://[fd00:ec2::254]", address("fd00:ec2::254")),
            ("https://[::ffff:169.254.169.254]", host("[::ffff:a9fe:a9fe]")),
            ("https://[fe80::1%25eth0]", Refused::NotAUrl),
            ("https://[fe80::1%eth0]", Refused::NotAUrl),
            ("https://256.256.256.256", Refused::NotAUrl),
        ] {
            assert_eq!(places.admit(bad), Err(why), "{bad}");
        }
        // What a URL parser reads as the listed host is the listed host, and it is called by that name.
        for good in ["https://api\t.actiwapi.com", " https://api.actiwapi.com ", "https://\u{ff41}pi.actiwapi.com"] {
            assert_eq!(places.admit(good).unwrap().as_str(), "https://api.actiwapi.com/", "{good}");
        }
    }

    #[test]
    fn an_entry_of_the_list_is_a_host_and_perhaps_a_port() {
        let admits = |entry: &str, url: &str| {
            let hosts = vec![entry.to_owned()];
            Places { insecure: false, hosts, addresses: Addresses::default() }.admit(url).is_ok()
        };
        for entry in ["api.actiwapi.com", "API.actiwapi.com.", "api.actiwapi.com:443"] {
            assert!(admits(entry, "https://api.actiwapi.com"), "{entry}");
            assert!(!admits(entry, "https://api.actiwapi.com:8443"), "{entry}");
        }
        assert!(admits("api.actiwapi.com:8443", "https://api.actiwapi.com:8443"));
        for entry in ["", "*", "*.actiwapi.com", ".actiwapi.com", "https://api.actiwapi.com", "api.actiwapi.com/v1"] {
            assert!(!admits(entry, "https://api.actiwapi.com"), "{entry}");
        }
        assert!(!admits("x@api.actiwapi.com", "https://api.actiwapi.com"));
    }

    #[test]
    fn the_event_stream_is_below_the_base_url() {
        for good in ["/socket.io", "/socket.io/", "/a/b-c/d_e/~f/v1.0", "/...", "/.well-known"] {
            assert!(is_events_path(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "//",
            "socket.io",
            "//evil.example/",
            "/a//b",
            "/a//",
            "/..",
            "/../admin",
            "/a/..",
            "/a/../b",
            "/./a",
            "/%2e%2e/admin",
            "/a%2fb",
            "/a?token=1",
            "/a#b",
            "/@evil.example",
            "/a\\b",
            "/a b",
            "/a\n",
            "/ä",
            "https://evil.example/",
            "/a;b",
            "/a:b",
        ] {
            assert!(!is_events_path(bad), "{bad:?}");
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
