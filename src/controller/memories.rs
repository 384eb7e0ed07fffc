//! The memory of every object, by uid.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use crate::decide::{Memory, Now};

/// All memories of this process.
#[derive(Default)]
pub struct Memories {
    /// A place without a memory is that of one on loan.
    kept: Mutex<HashMap<String, Option<Kept>>>,
}

/// What is remembered of one object.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What decisions are made of.
    pub memory: Memory,
    /// Failures of Kubernetes in a row.
    pub troubles: u32,
    /// A name is reserved for it.
    pub reserved: bool,
}

/// One object's memory, on loan to its reconcile; given back on drop, unless the object was forgotten meanwhile.
pub struct Loan<'a> {
    memories: &'a Memories,
    uid: String,
    kept: Kept,
}

impl Memories {
    /// Lends an object's memory. One object is never reconciled twice at once, so nobody else asks for it.
    pub fn lend(&self, uid: &str, now: Now) -> Loan<'_> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), None).flatten();
        let kept = kept.unwrap_or_else(|| Kept { memory: Memory::new(now), troubles: 0, reserved: false });
        Loan { memories: self, uid: uid.to_owned(), kept }
    }

    /// Forgets an object.
    pub fn forget(&self, uid: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl Deref for Loan<'_> {
    type Target = Kept;

    fn deref(&self) -> &Kept {
        &self.kept
    }
}

impl DerefMut for Loan<'_> {
    fn deref_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut kept = self.memories.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.get_mut(&self.uid) {
            *place = Some(self.kept.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn what_was_forgotten_while_on_loan_does_not_come_back() {
        let memories = Memories::default();
        let now = Now { mono: Instant::now(), wall: Timestamp::UNIX_EPOCH };
        memories.lend("1", now).troubles = 7;
        let loan = memories.lend("1", now);
        assert_eq!(loan.troubles, 7);
        memories.forget("1");
        drop(loan);
        assert!(memories.kept.lock().unwrap().is_empty());
    }
}
