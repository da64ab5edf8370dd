//! The memory of this machine.

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub total: u64,
    /// What programs can still have without swapping.
    pub available: u64,
}

/// None where the system does not tell.
pub(crate) fn memory() -> Option<Memory> {
    platform::memory()
}

#[cfg(not(target_os = "macos"))]
mod platform {
    use std::path::Path;

    use super::Memory;
    use crate::read_file::read_regular;

    /// See proc_meminfo(5).
    pub(super) fn memory() -> Option<Memory> {
        let text = String::from_utf8(read_regular(Path::new("/proc/meminfo"), 1 << 20).ok()?).ok()?;
        let bytes = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        };
        Some(Memory { total: bytes("MemTotal:")?, available: bytes("MemAvailable:")? })
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use sysctl::{Ctl, CtlValue, Sysctl};

    use super::Memory;

    /// The level is what the system itself goes by: how many percent are available.
    pub(super) fn memory() -> Option<Memory> {
        let total = number("hw.memsize")?;
        Some(Memory { total, available: total / 100 * number("kern.memorystatus_level")?.min(100) })
    }

    fn number(name: &str) -> Option<u64> {
        match Ctl::new(name).ok()?.value().ok()? {
            CtlValue::U64(value) => Some(value),
            CtlValue::S64(value) => value.try_into().ok(),
            CtlValue::U32(value) => Some(value.into()),
            CtlValue::Uint(value) => Some(value.into()),
            CtlValue::Int(value) => value.try_into().ok(),
            CtlValue::Ulong(value) => Some(value),
            CtlValue::Long(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory;

    #[test]
    fn some_of_it_is_left() {
        let found = memory().expect("the system tells");
        assert!(found.total > 64 << 20 && found.available > 0 && found.available <= found.total, "{found:?}");
    }
}
