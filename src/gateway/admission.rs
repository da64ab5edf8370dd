//! How much all requests together may hold in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::gateway::api_error::ApiError;

/// The bodies of all requests that are being answered, in bytes. One takes up to twice its length while it is read and passed on.
const MOST_AT_ONCE: usize = 160 << 20;

/// Counts what requests hold.
#[derive(Clone, Default)]
pub(super) struct Admission(Arc<AtomicUsize>);

/// What one request holds. Dropping it gives that back.
pub(super) struct Admitted {
    all: Admission,
    held: usize,
}

impl Admission {
    pub(super) fn begin(&self) -> Admitted {
        Admitted { all: self.clone(), held: 0 }
    }
}

impl Admitted {
    /// The body has, or will have, so many bytes.
    ///
    /// # Errors
    /// If there is no room for them beside the others.
    pub(super) fn hold(&mut self, length: usize) -> Result<(), ApiError> {
        let more = length.saturating_sub(self.held);
        let before = self.all.0.fetch_add(more, Relaxed);
        self.held += more;
        match before.saturating_add(more) {
            all if all > MOST_AT_ONCE => Err(ApiError::crowded()),
            _ => Ok(()),
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.held, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        const MIB: usize = 1 << 20;
        let all = Admission::default();
        let (mut one, mut other, mut third) = (all.begin(), all.begin(), all.begin());
        assert_eq!((one.hold(64 * MIB), other.hold(64 * MIB)), (Ok(()), Ok(())));
        // Nothing is counted twice, and what is held does not become less.
        assert_eq!((one.hold(64 * MIB), one.hold(MIB)), (Ok(()), Ok(())));
        assert_eq!(third.hold(64 * MIB), Err(ApiError::crowded()));
        drop(third);
        assert_eq!(all.begin().hold(32 * MIB), Ok(()));
        drop(other);
        assert_eq!(all.begin().hold(64 * MIB), Ok(()));
        drop(one);
        assert_eq!(all.0.load(Relaxed), 0);
    }
}
