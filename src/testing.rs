//! Code that only tests and fuzzers need, not part of the product.
//!
//! [`sim`] is a network in memory, [`toy`] has the ciphers for TLS on it, and [`world`] is the
//! whole proxy on it, with the time controlled by the test. [`fuzz`] has the entry points of the
//! fuzz targets. [`rng`] is the random number generator of all of them. Naive oracles are beside
//! the code that they check, not here.
//!
//! The modules of the crate are private, so everything else that a test names is exported here.

pub mod fuzz;
#[cfg(test)]
pub(crate) mod pieces;
pub mod rng;
pub mod sim;
pub mod toy;
pub mod world;

pub use crate::access::Form;
pub use crate::admin::metrics::{CHECK_RESULTS, CONFINED, CONNECTION_STATES};
pub use crate::config::{
    Api, Certificate, Clients, Compression, Demo, Drain, Failed, Health, KeysText, ListenAddr,
    OnOutage, Readers, Redirect, Resume, RetryOn, Server, StreamKind, Streams, Tls, TlsVersion,
    TrustedProxies, UpstreamTls, VerifyClient, Workers,
};
pub use crate::conn::{Conn, Read, Written};
pub use crate::coverage::{start as record_coverage, take as recorded_coverage};
pub use crate::descriptors::{Budget, PROCESS, of_loops};
pub use crate::exchange::{SourceKind, Stage};
pub use crate::http::changes::Changes;
pub use crate::net::mio::{EventSource, MioNet};
pub use crate::net::tls;
pub use crate::net::{Address, ListenerId, Net, Ready, Received, Sent, SockId, Token};
pub use crate::proxy::Portions;
pub use crate::shell::service::Inherited;
pub use crate::shell::sys::listen;
pub use crate::sse::naive;
pub use crate::telemetry::{
    Answered, Asked, Cause, Failure, Handshake, Outcome, ProxyHeader, Veto,
};
pub use crate::time::Tick;
pub use crate::work::take as work_done;
