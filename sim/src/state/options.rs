//! How the API behaves for every tenant alike.

use serde::{Deserialize, Serialize};

/// What a page larger than the allowed maximum gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OversizedPage {
    /// 400 with a validation error.
    #[default]
    Reject,
    /// The maximum, and `pagination.limit` says so.
    Clamp,
}

/// How the API behaves for every tenant alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiOptions {
    /// Whether error bodies hold a `code` member; the published example has none.
    pub error_codes: bool,
    /// Largest `limit` of a list call.
    pub max_page_limit: u64,
    /// What a larger one gets.
    pub oversized_page: OversizedPage,
    /// Longest session name in characters.
    pub max_name_length: usize,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self { error_codes: false, max_page_limit: 100, oversized_page: OversizedPage::default(), max_name_length: 100 }
    }
}
