//! How many bytes were looked at or copied, so that a test can say what an input costs.
//!
//! Peers choose how long a head is, how many fields it has and in which pieces it arrives. None of
//! that may be multiplied by another of it, or a client pays little and everybody else pays for it.
//! The leaves that walk over a peer's bytes [`note`] how many they have walked over, and
//! `tests/it/work.rs` compares what an input costs with what one of twice its length costs.
//!
//! Without the feature `sim` nothing is counted, and no code is made of it.

#[cfg(any(test, feature = "sim"))]
thread_local! {
    static BYTES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many bytes were looked at, or copied.
#[cfg(any(test, feature = "sim"))]
pub fn note(bytes: usize) {
    BYTES.set(BYTES.get() + bytes as u64);
}

/// So many bytes were looked at, or copied: nobody wants to know.
#[cfg(not(any(test, feature = "sim")))]
#[inline(always)]
pub const fn note(_bytes: usize) {}

/// What this thread has noted since it was last asked.
#[cfg(any(test, feature = "sim"))]
pub fn take() -> u64 {
    BYTES.take()
}
