//! The cryptography provider of TLS.

/// Makes *ring* the cryptography provider of TLS in this process. Call it first in `main`: creating an HTTP client
/// before it panics, even a client for plain http. A second call changes nothing.
pub fn use_ring() {
    // Fails on the second call.
    let _done = rustls::crypto::ring::default_provider().install_default();
}
