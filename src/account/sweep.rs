//! One read of the whole list, complete or worthless.

use std::collections::BTreeMap;

use super::{Account, limiter::Priority};
use crate::provider::{Class, Error, RemoteSession, SessionId};

/// The largest page that is asked for.
const LARGE: u32 = 100;
/// The page every provider takes: the documented default.
const SMALL: u32 = 20;
/// A list that keeps changing under the reader is read again this often.
const READS: usize = 3;
/// More pages are not read: a provider that never ends must not keep us.
const PAGES: u32 = 1000;

impl Account {
    /// All sessions of the tenant, or `None` when the list changed under three reads in a row: such a sweep proves
    /// nothing. Complete means that no id came twice, `total` stayed the same and equals the distinct ids; without
    /// `total`, pages are read until one adds no new id.
    pub(super) async fn sweep(&self) -> Result<Option<Vec<RemoteSession>>, Error> {
        let mut limit = if self.state().small_pages { SMALL } else { LARGE };
        let mut reads = 0;
        while reads < READS {
            match self.read_all(limit).await {
                Ok(Some(all)) => return Ok(Some(all)),
                Ok(None) => reads += 1,
                Err(error) if error.class == Class::Validation && limit == LARGE => {
                    // For good: asking again would cost a metered call a sweep.
                    self.state().small_pages = true;
                    limit = SMALL;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn read_all(&self, limit: u32) -> Result<Option<Vec<RemoteSession>>, Error> {
        let mut all: BTreeMap<SessionId, RemoteSession> = BTreeMap::new();
        let mut total = None;
        for page in 1..=PAGES {
            let read =
                self.call(Priority::Poll, &(page, limit), |p, t, (page, limit)| p.list(t, *page, *limit)).await?;
            if read.unreadable > 0 || (page > 1 && read.total != total) {
                return Ok(None);
            }
            total = read.total;
            let (count, before) = (read.sessions.len(), all.len());
            for session in read.sessions {
                all.insert(session.id.clone(), session);
            }
            let fresh = all.len() - before;
            match total {
                Some(total) => {
                    if fresh < count {
                        return Ok(None);
                    }
                    let have = u64::try_from(all.len()).unwrap_or(u64::MAX);
                    if have == total {
                        return Ok(Some(all.into_values().collect()));
                    }
                    if have > total || count == 0 {
                        return Ok(None);
                    }
                }
                None if fresh == 0 => return Ok(Some(all.into_values().collect())),
                None if fresh < count => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }
}
