//! Counts the bytes that are examined or copied, so that a test can measure the cost of an input.
//!
//! Peers choose how long a head is, how many fields it has and in which pieces it arrives. The work
//! must not grow with the product of these, or a client could cause a lot of work with little
//! effort. Leaves that examine a peer's bytes [`note`] how many, and `tests/it/work.rs` compares
//! the cost of an input with that of one twice as long.
//!
//! Without the feature `sim` nothing is counted, and this compiles to nothing.

#[cfg(any(test, feature = "sim"))]
thread_local! {
    static BYTES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts bytes that were examined or copied.
#[cfg(any(test, feature = "sim"))]
pub fn note(bytes: usize) {
    BYTES.set(BYTES.get() + bytes as u64);
}

/// Does nothing without the feature `sim`.
#[cfg(not(any(test, feature = "sim")))]
#[inline(always)]
pub const fn note(_bytes: usize) {}

/// Returns what this thread has counted since the last call.
#[cfg(any(test, feature = "sim"))]
pub fn take() -> u64 {
    BYTES.take()
}
