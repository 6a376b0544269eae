//! The addresses that a server listens on.

use std::net::{SocketAddr, TcpListener};

use super::StartError;
use crate::config::Settings;

/// Connections that may wait to be accepted. The system may allow fewer (on Linux `net.core.somaxconn`, 4096 by default). It does not
/// answer further connections, and clients retry after one, three, seven seconds: so many may come at once without a delay.
const BACKLOG: i32 = 4096;

/// Sockets that listen but are not yet served.
pub struct Listeners {
    pub(super) public: TcpListener,
    pub(super) ops: TcpListener,
}

impl Listeners {
    /// Listens on the addresses of the settings.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn bind(settings: &Settings) -> Result<Self, StartError> {
        let bind = |setting, address| listen(address).map_err(|source| StartError::Listen { setting, address, source });
        Ok(Self { public: bind("listen", settings.listen)?, ops: bind("ops.listen", settings.ops.listen)? })
    }

    /// The address of the API.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn public_address(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The address of health and metrics.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ops_address(&self) -> std::io::Result<SocketAddr> {
        self.ops.local_addr()
    }
}

/// The standard library fixes the backlog at 128 connections, whoever uses the listener later: so this sets it.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, time::Duration};

    use super::*;

    /// No more than today's systems queue, and than a process may have open files.
    const AT_ONCE: usize = 400;

    #[test]
    fn hundreds_may_come_before_one_is_accepted() {
        let room =
            std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|text| text.trim().parse().ok());
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let come: Vec<TcpStream> = (0..room.unwrap_or(128).min(AT_ONCE))
            // Without room in the backlog, connecting waits until somebody accepts: here, for ever.
            .map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(60)).unwrap())
            .collect();
        assert!(come.len() >= 128);
    }
}
