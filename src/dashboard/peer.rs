//! Whose program is at the other end of a connection, as far as the system tells.

use std::net::SocketAddr;

use nix::unistd::Uid;

use crate::read_file::read_regular;

/// Linux's tables of connections, one for each kind of socket that can reach 127.0.0.1.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The longest table that is read, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// A socket that its program has closed has no owner any more: such a row says root.
const ESTABLISHED: &str = "01";

/// Whether the connection from `peer` to our port is of this user's, or of root's. On a system that does not tell (macOS) it is.
pub(super) fn is_ours(peer: SocketAddr, port: u16) -> bool {
    let tables: Vec<Vec<u8>> = TABLES.iter().filter_map(|table| read_regular(table.as_ref(), MOST_BYTES).ok()).collect();
    if tables.is_empty() {
        return true;
    }
    let owner = tables.iter().find_map(|table| owner(&String::from_utf8_lossy(table), peer, port));
    owner.is_some_and(|owner| owner == Uid::effective().as_raw() || owner == 0)
}

/// The number of the account whose socket this is, as a table of proc(5) has it.
fn owner(table: &str, peer: SocketAddr, port: u16) -> Option<u32> {
    let SocketAddr::V4(v4) = peer else { return None };
    // As the machine has it in memory.
    let address = format!("{:08X}", u32::from_ne_bytes(v4.ip().octets()));
    let server = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let mapped_prefix = format!("0000000000000000{:08X}", u32::from_ne_bytes([0, 0, 0xff, 0xff]));
    let client = format!("{address}:{:04X}", peer.port());
    let is = |field: Option<&str>, expected: &str| {
        field.is_some_and(|field| field == expected || field.strip_prefix(mapped_prefix.as_str()) == Some(expected))
    };
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = is(fields.next(), &client) && is(fields.next(), &server) && fields.next() == Some(ESTABLISHED);
        // After the state: queues, timer, retransmissions.
        is_it.then(|| fields.nth(3)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_owner_is_that_of_the_peers_own_socket() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:24CD 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 100 0 0 10 0\n   \
            1: 0100007F:24CD 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 12 1 0 20 4 30 10 -1\n   \
            2: 0100007F:C350 0100007F:24CD 01 00000000:00000000 00:00000000 00000000  1001        0 13 1 0 20 4 30 10 -1\n   \
            3: 0100007F:C351 0100007F:24CD 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0\n   \
            4: 0000000000000000FFFF00000100007F:C352 0000000000000000FFFF00000100007F:24CD 01 00000000:00000000 00:00000000 00000000 \
            1002        0 14 1 0 20 4 30 10 -1\n   5: torn";
        let table = |port: u16, ours| owner(table, format!("127.0.0.1:{port}").parse().unwrap(), ours);
        assert_eq!(table(0xc350, 0x24cd), Some(1001));
        assert_eq!(table(0xc352, 0x24cd), Some(1002), "of a socket for both kinds of addresses");
        assert_eq!(table(0xc351, 0x24cd), None, "closed by its program");
        assert_eq!(table(0xc350, 0x24ce), None, "to another port");
        assert_eq!(table(0xc353, 0x24cd), None);
    }
}
