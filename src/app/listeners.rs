//! The addresses that are listened on.

use std::net::{SocketAddr, TcpListener};

use super::StartError;
use crate::config::Settings;

/// Connections that wait to be accepted. The system may hold fewer (on Linux `net.core.somaxconn`, 4096 where nobody changed
/// it). What comes beyond them is not answered at all, and tries again after one, three, seven seconds: so many may come at once
/// without that one of them notices.
const BACKLOG: i32 = 4096;

/// Addresses that are listened on but not yet served.
pub struct Listeners {
    pub(super) public: TcpListener,
    pub(super) ops: TcpListener,
}

impl Listeners {
    /// Listens on the addresses of the settings.
    ///
    /// # Errors
    /// When one of them cannot be had.
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

/// The standard library listens with room for 128 connections, whoever takes the listener over: the room is made here.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, time::Duration};

    use super::*;

    /// As many as a system of today has room for, and no more than a process may have open.
    const AT_ONCE: usize = 400;

    #[test]
    fn hundreds_may_come_before_one_is_accepted() {
        let room =
            std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|text| text.trim().parse().ok());
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let come: Vec<TcpStream> = (0..room.unwrap_or(128).min(AT_ONCE))
            // Who finds no room waits for as long as somebody accepts: here, for ever.
            .map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(60)).unwrap())
            .collect();
        assert!(come.len() >= 128);
    }
}
