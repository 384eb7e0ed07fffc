//! Access and refresh tokens. They look signed, but what counts is that they are known.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::tenant::Tenant;

/// The tokens in use.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    access: HashMap<String, Access>,
    refresh: HashMap<String, String>,
    minted: u64,
}

#[derive(Debug)]
struct Access {
    tenant: String,
    expires_at: Duration,
    number: u64,
}

/// What a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It is valid and belongs to this tenant.
    Valid(String),
    /// It was valid once and belonged to this tenant.
    Expired(String),
    /// It was never given out.
    Unknown,
}

pub(super) fn random_text(rng: &mut StdRng, bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    rng.fill_bytes(&mut buffer);
    URL_SAFE_NO_PAD.encode(buffer)
}

pub(super) fn random_uuid(rng: &mut StdRng) -> String {
    let mut bytes = [0_u8; 16];
    rng.fill_bytes(&mut bytes);
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let mut uuid = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

impl Tokens {
    /// A new access token; `epoch` is the wall clock at the start in seconds, for the claims.
    pub(super) fn mint_access(&mut self, rng: &mut StdRng, tenant: &Tenant, now: Duration, epoch: u64) -> String {
        let expires_at = now + tenant.settings.token_lifetime;
        let token = if tenant.settings.opaque_tokens {
            random_text(rng, 48)
        } else {
            let claims = json!({
                "sub": tenant.user_id,
                "tenantId": tenant.id,
                "iat": epoch + now.as_secs(),
                "exp": epoch + expires_at.as_secs(),
                "jti": random_uuid(rng),
            });
            let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(&claims), random_text(rng, 32))
        };
        self.minted += 1;
        let access = Access { tenant: tenant.name.clone(), expires_at, number: self.minted };
        self.access.insert(token.clone(), access);
        token
    }

    pub(super) fn mint_refresh(&mut self, rng: &mut StdRng, tenant: &str) -> String {
        let token = random_text(rng, 48);
        self.refresh.insert(token.clone(), tenant.to_owned());
        token
    }

    pub(super) fn check(&self, token: &str, now: Duration) -> Proof {
        match self.access.get(token) {
            None => Proof::Unknown,
            Some(access) if access.expires_at <= now => Proof::Expired(access.tenant.clone()),
            Some(access) => Proof::Valid(access.tenant.clone()),
        }
    }

    /// Which of all access tokens this is.
    pub(super) fn number(&self, token: &str) -> Option<u64> {
        self.access.get(token).map(|access| access.number)
    }

    /// How many access tokens were given out.
    pub(super) fn minted(&self) -> u64 {
        self.minted
    }

    pub(super) fn refresh_owner(&self, token: &str) -> Option<&str> {
        self.refresh.get(token).map(String::as_str)
    }

    pub(super) fn revoke_refresh(&mut self, token: &str) {
        self.refresh.remove(token);
    }

    pub(super) fn expire(&mut self, tenant: &str, refresh_too: bool) {
        for access in self.access.values_mut().filter(|access| access.tenant == tenant) {
            access.expires_at = Duration::ZERO;
        }
        if refresh_too {
            self.refresh.retain(|_, owner| owner != tenant);
        }
    }
}

/// `7d`, `15m`, or a number of seconds, as the provider writes life times.
pub(super) fn expires_in(lifetime: Duration) -> serde_json::Value {
    let seconds = lifetime.as_secs();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds > 0 && seconds.is_multiple_of(length) {
            return json!(format!("{}{unit}", seconds / length));
        }
    }
    json!(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn lifetimes_are_written_as_the_provider_does() {
        assert_eq!(expires_in(Duration::from_hours(168)), json!("7d"));
        assert_eq!(expires_in(Duration::from_mins(15)), json!("15m"));
        assert_eq!(expires_in(Duration::from_secs(90)), json!(90));
    }

    #[test]
    fn ids_are_uuids_of_version_four() {
        let uuid = random_uuid(&mut StdRng::seed_from_u64(3));
        let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
    }
}
