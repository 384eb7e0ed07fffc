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
    kept: Mutex<HashMap<String, Kept>>,
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

/// One object's memory, on loan to its reconcile; given back on drop.
pub struct Loan<'a> {
    memories: &'a Memories,
    uid: String,
    kept: Kept,
    forgotten: bool,
}

impl Memories {
    /// Lends an object's memory. One object is never reconciled twice at once, so nobody else asks for it.
    pub fn lend(&self, uid: &str, now: Now) -> Loan<'_> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        let kept = kept.unwrap_or_else(|| Kept { memory: Memory::new(now), troubles: 0, reserved: false });
        Loan { memories: self, uid: uid.to_owned(), kept, forgotten: false }
    }

    /// Forgets an object.
    pub fn forget(&self, uid: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl Loan<'_> {
    /// The object is gone: there is nothing to give back.
    pub fn forget(mut self) {
        self.forgotten = true;
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
        if !self.forgotten {
            self.memories
                .kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(self.uid.clone(), self.kept.clone());
        }
    }
}
