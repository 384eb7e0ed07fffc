//! What people and phones do to the provider without its API: scans, log-outs, bans, clicks in the dashboard.

use std::time::Duration;

use rand::RngExt as _;

use super::session::{Session, Status};
use super::tenant::{Tenant, TenantSettings};
use super::tokens;
use super::{Effect, State};

/// Why something could not be done by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// No tenant of that name.
    #[error("there is no tenant {0:?}")]
    UnknownTenant(String),
    /// No session of that id or name.
    #[error("there is no session {0:?}")]
    UnknownSession(String),
    /// Several sessions of that name.
    #[error("several sessions are called {0:?}; use an id or name the tenant")]
    AmbiguousSession(String),
    /// Nothing to scan.
    #[error("the session shows no code")]
    ShowsNoCode,
    /// That code is not shown any more, or never was.
    #[error("no session shows this code")]
    StaleCode,
    /// Only a connected session can be dropped.
    #[error("the session is not connected")]
    NotConnected,
    /// The settings make no sense.
    #[error("bad settings: {0}")]
    BadSettings(String),
}

/// A session's current code.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeView {
    /// The exact string in the picture.
    pub code: String,
    /// Which one of the series, from 1.
    pub number: u32,
    /// How long it still works.
    pub expires_in: Duration,
}

/// Where a session is: its tenant's name and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The tenant's name.
    pub tenant: String,
    /// The session's id.
    pub id: String,
}

impl State {
    /// Makes a tenant, or changes one that exists.
    ///
    /// # Errors
    /// When another tenant has the same email or API key.
    pub fn put_tenant(&mut self, name: &str, settings: TenantSettings) -> Result<(), HandError> {
        let clash = self.tenants.values().any(|other| {
            other.name != name && (other.settings.email == settings.email || other.settings.api_key == settings.api_key)
        });
        if clash {
            return Err(HandError::BadSettings("another tenant has the same email or API key".to_owned()));
        }
        if let Some(tenant) = self.tenants.get_mut(name) {
            tenant.settings = settings;
        } else {
            let tenant = Tenant {
                id: tokens::random_uuid(&mut self.rng),
                user_id: tokens::random_uuid(&mut self.rng),
                name: name.to_owned(),
                settings,
                sessions: Vec::new(),
                requests_used: 0,
                minute: 0,
                requests_this_minute: 0,
            };
            self.tenants.insert(name.to_owned(), tenant);
        }
        self.effects.push(Effect::Note(format!("{name}: tenant configured")));
        Ok(())
    }

    /// Changes a tenant, or makes one that `TenantSettings::named` describes and the JSON object overlays.
    ///
    /// # Errors
    /// When a member is unknown or has the wrong type.
    pub fn patch_tenant(&mut self, name: &str, patch: &serde_json::Value) -> Result<(), HandError> {
        let current =
            self.tenants.get(name).map_or_else(|| TenantSettings::named(name), |tenant| tenant.settings.clone());
        let merged = overlay(&current, patch).map_err(HandError::BadSettings)?;
        self.put_tenant(name, merged)
    }

    /// Changes how the API behaves for everybody.
    ///
    /// # Errors
    /// When a member is unknown or has the wrong type.
    pub fn patch_api(&mut self, patch: &serde_json::Value) -> Result<(), HandError> {
        self.api = overlay(&self.api, patch).map_err(HandError::BadSettings)?;
        Ok(())
    }

    /// Finds a session by id, or by name if only one has it.
    ///
    /// # Errors
    /// When there is none or more than one.
    pub fn find(&self, tenant: Option<&str>, session: &str) -> Result<Place, HandError> {
        let candidates = || {
            self.tenants
                .values()
                .filter(move |owner| tenant.is_none_or(|name| owner.name == name))
                .flat_map(|owner| owner.sessions.iter().map(move |slot| (owner, slot)))
        };
        let place = |(owner, slot): (&Tenant, &Session)| Place { tenant: owner.name.clone(), id: slot.id.clone() };
        if let Some(found) = candidates().find(|(_, slot)| slot.id == session) {
            return Ok(place(found));
        }
        let mut named = candidates().filter(|(_, slot)| slot.name == session);
        match (named.next(), named.next()) {
            (Some(found), None) => Ok(place(found)),
            (Some(_), Some(_)) => Err(HandError::AmbiguousSession(session.to_owned())),
            (None, _) => Err(HandError::UnknownSession(session.to_owned())),
        }
    }

    /// The session at a place.
    #[must_use]
    pub fn session(&self, place: &Place) -> Option<&Session> {
        self.tenants.get(&place.tenant)?.session(&place.id)
    }

    /// A phone scans whatever the session shows; without a number, a random one.
    ///
    /// # Errors
    /// When the session shows no code.
    pub fn scan(&mut self, place: &Place, phone_number: Option<&str>) -> Result<String, HandError> {
        if self.session(place).is_none_or(|session| session.shown.is_none()) {
            return Err(HandError::ShowsNoCode);
        }
        let random = self.rng.random_range(9_000_000_000_u64..10_000_000_000);
        let phone_number = phone_number.map_or_else(|| format!("91{random}"), str::to_owned);
        self.note(&place.tenant, &place.id, "is scanned");
        self.complete_pairing(&place.tenant, &place.id, &phone_number);
        Ok(phone_number)
    }

    /// A phone scans exactly this code, wherever it was published.
    ///
    /// # Errors
    /// When no session shows it now.
    pub fn scan_code(&mut self, code: &str, phone_number: Option<&str>) -> Result<Place, HandError> {
        let found = self.tenants.values().find_map(|tenant| {
            let shows = |session: &&Session| session.shown.as_ref().is_some_and(|shown| shown.code == code);
            let session = tenant.sessions.iter().find(shows)?;
            Some(Place { tenant: tenant.name.clone(), id: session.id.clone() })
        });
        let place = found.ok_or(HandError::StaleCode)?;
        self.scan(&place, phone_number)?;
        Ok(place)
    }

    /// The code the session shows now.
    #[must_use]
    pub fn current_code(&self, place: &Place) -> Option<CodeView> {
        let shown = self.session(place)?.shown.as_ref()?;
        Some(CodeView {
            code: shown.code.clone(),
            number: shown.number,
            expires_in: shown.expires_at.saturating_sub(self.now),
        })
    }

    /// The phone removes the device: the credentials are gone.
    pub fn log_out(&mut self, place: &Place) {
        if let Some((_, session)) = self.slot(&place.tenant, &place.id) {
            session.has_credentials = false;
            session.phone_number = None;
        }
        self.settle(&place.tenant, &place.id, Status::LoggedOut);
    }

    /// The connection is lost; the credentials stay.
    ///
    /// # Errors
    /// When the session is not connected.
    pub fn drop_connection(&mut self, place: &Place) -> Result<(), HandError> {
        if !self.session(place).is_some_and(Session::is_connected) {
            return Err(HandError::NotConnected);
        }
        self.settle(&place.tenant, &place.id, Status::Disconnected);
        Ok(())
    }

    /// `WhatsApp` bans the number: every reconnect ends in `banned` until another phone is paired.
    pub fn ban(&mut self, place: &Place) {
        if let Some((_, session)) = self.slot(&place.tenant, &place.id) {
            session.banned = true;
        }
        self.settle(&place.tenant, &place.id, Status::Banned);
    }

    /// Any state by its word, such as `replaced`; it stays until something else happens.
    pub fn set_status(&mut self, place: &Place, word: &str) {
        self.settle(&place.tenant, &place.id, Status::from_word(word));
    }

    /// Somebody deletes the session in the dashboard; nothing announces it.
    pub fn vanish(&mut self, place: &Place) {
        self.note(&place.tenant, &place.id, "is deleted out of band");
        if let Some(tenant) = self.tenants.get_mut(&place.tenant) {
            tenant.sessions.retain(|session| session.id != place.id);
        }
    }

    /// Somebody creates a session in the dashboard, limits or not.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn create_out_of_band(&mut self, tenant: &str, name: &str) -> Result<String, HandError> {
        self.add_session(tenant, name).ok_or_else(|| HandError::UnknownTenant(tenant.to_owned()))
    }

    /// Somebody renames the session in the dashboard; nothing announces it.
    pub fn rename(&mut self, place: &Place, name: &str) {
        self.note(&place.tenant, &place.id, &format!("is renamed to {name:?}"));
        if let Some((_, session)) = self.slot(&place.tenant, &place.id) {
            name.clone_into(&mut session.name);
        }
    }

    /// No access token of the tenant counts any more, and no refresh token either if wanted.
    pub fn expire_tokens(&mut self, tenant: &str, refresh_too: bool) {
        self.tokens.expire(tenant, refresh_too);
        self.effects.push(Effect::Note(format!("{tenant}: all tokens expired")));
    }

    /// Takes the tenant's sockets away, with a farewell or without.
    pub fn close_sockets(&mut self, tenant: &str, hard: bool) {
        self.effects.push(Effect::Note(format!("{tenant}: sockets closed")));
        self.effects.push(Effect::CloseSockets { tenant: tenant.to_owned(), hard });
    }

    pub(super) fn add_session(&mut self, tenant: &str, name: &str) -> Option<String> {
        let id = tokens::random_uuid(&mut self.rng);
        let owner = self.tenants.get_mut(tenant)?;
        owner.sessions.push(Session::new(id.clone(), name.to_owned()));
        self.note(tenant, &id, "is created");
        Some(id)
    }
}

/// The members of `patch` replace those of `current`, objects member by member.
fn overlay<T>(current: &T, patch: &serde_json::Value) -> Result<T, String>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    fn merge(into: &mut serde_json::Value, patch: &serde_json::Value) {
        match (into, patch) {
            (serde_json::Value::Object(into), serde_json::Value::Object(patch)) => {
                for (name, value) in patch {
                    merge(into.entry(name.clone()).or_insert(serde_json::Value::Null), value);
                }
            }
            (into, patch) => into.clone_from(patch),
        }
    }
    let mut merged = serde_json::to_value(current).map_err(|error| error.to_string())?;
    merge(&mut merged, patch);
    serde_json::from_value(merged).map_err(|error| error.to_string())
}
