//! What only tests and fuzzers need, apart from the product.
//!
//! [`sim`] is a network in memory, and [`world`] the whole proxy on it, with time in the hands of
//! whoever drives it. [`fuzz`] has the entry points of the fuzz targets. [`rng`] is what all of
//! them draw from. A naive oracle stands beside the code that it checks, not here.

#[cfg(feature = "sim")]
pub mod fuzz;
#[cfg(test)]
pub(crate) mod pieces;
#[cfg(feature = "sim")]
pub mod rng;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "sim")]
pub mod world;
