//! What a credentials Secret holds, once it is known to be usable.

use std::collections::BTreeMap;

use crate::{
    api::{Reason, names},
    provider::{Password, Token},
};

/// How an account proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// E-mail and password: a new token whenever one is needed.
    Password {
        /// The e-mail address.
        email: String,
        /// The password.
        password: Password,
    },
    /// A token somebody else got; without a refresh token it ends when it expires.
    Token {
        /// The access token.
        access: Token,
        /// For a new access token.
        refresh: Option<Token>,
    },
}

/// The credentials of one version of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// How to get an access token.
    pub login: Login,
    /// The Secret's uid and resourceVersion: a refused password is not sent again until this changes.
    pub version: String,
}

/// Why a Secret cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// For the account's `Stalled` condition.
    pub reason: Reason,
    /// One sentence; the command that helps is added where it is told.
    pub message: String,
}

/// Reads the Secret `name` of type `kind` with these `data`.
///
/// # Errors
/// A wrong type, a missing or empty key, text that is not UTF-8, or an API key alone.
pub fn read(
    name: &str,
    kind: Option<&str>,
    data: &BTreeMap<String, Vec<u8>>,
    version: String,
) -> Result<Credentials, Unusable> {
    let unusable = |reason, message| Err(Unusable { reason, message });
    if kind != Some(names::CREDENTIALS_TYPE) {
        return unusable(
            Reason::SecretTypeInvalid,
            format!(
                "Secret {name} must be of type {}, so that no unrelated Secret can be sent to a provider",
                names::CREDENTIALS_TYPE
            ),
        );
    }
    let key = |key: &str| -> Option<String> {
        let text = std::str::from_utf8(data.get(key)?).ok()?;
        // A trailing newline is what `--from-file` and `echo |` leave behind.
        let text = text.trim_end_matches(['\r', '\n']);
        (!text.is_empty()).then(|| text.to_owned())
    };
    let login = match (key("email"), key("password"), key("accessToken")) {
        (Some(email), Some(password), _) => Login::Password { email, password: Password::new(password) },
        (_, _, Some(access)) => {
            Login::Token { access: Token::new(access), refresh: key("refreshToken").map(Token::new) }
        }
        (Some(_), None, None) => {
            return unusable(Reason::SecretKeyMissing, format!("Secret {name} has the key email but no password"));
        }
        (None, Some(_), None) => {
            return unusable(Reason::SecretKeyMissing, format!("Secret {name} has the key password but no email"));
        }
        (None, None, None) if key("apiKey").is_some() => {
            return unusable(
                Reason::ReadOnlyCredentials,
                format!(
                    "Secret {name} holds an API key only, which may only read; it must hold email and password, or accessToken"
                ),
            );
        }
        (None, None, None) => {
            return unusable(
                Reason::SecretKeyMissing,
                format!("Secret {name} must hold the keys email and password, or accessToken"),
            );
        }
    };
    Ok(Credentials { login, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(kind: &str, pairs: &[(&str, &str)]) -> Result<Credentials, Reason> {
        let data = pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
        read("s", Some(kind), &data, "1".to_owned()).map_err(|unusable| unusable.reason)
    }

    #[test]
    fn a_secret_is_used_only_when_it_is_meant_for_this() {
        let pair = [("email", "a@b.c"), ("password", "p")];
        assert!(reads("actiwapi.com/credentials", &pair).is_ok());
        assert_eq!(reads("Opaque", &pair), Err(Reason::SecretTypeInvalid));
        for missing in [&[("email", "a@b.c")][..], &[("password", "p")], &[], &[("email", "a@b.c"), ("password", "")]] {
            assert_eq!(reads("actiwapi.com/credentials", missing), Err(Reason::SecretKeyMissing), "{missing:?}");
        }
        assert_eq!(reads("actiwapi.com/credentials", &[("apiKey", "awp_x")]), Err(Reason::ReadOnlyCredentials));
        assert!(reads("actiwapi.com/credentials", &[("accessToken", "t")]).is_ok());
    }

    #[test]
    fn a_trailing_newline_is_not_part_of_a_password() {
        let read = reads("actiwapi.com/credentials", &[("email", "a@b.c\n"), ("password", "p\r\n")]).unwrap();
        assert_eq!(read.login, Login::Password { email: "a@b.c".to_owned(), password: Password::new("p") });
    }
}
