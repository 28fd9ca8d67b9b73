use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::statvfs,
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Where control groups lie.
const GROUPS: &str = "/sys/fs/cgroup";

/// What a process has of its machine, and what it takes. `None` is what the system does not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Machine {
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// The disk with the data directory.
    pub disk: Option<Disk>,
}

/// What a process computes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Cpu {
    /// Seconds of processor time that the process took, all threads together.
    pub process_seconds: f64,
    /// The same as a share of all its processors since it started, from 0 to 1.
    pub share: f64,
    /// Processors that it may use.
    pub processors: u64,
}

/// What a process remembers with, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Memory {
    /// What the process takes.
    pub resident_bytes: Option<u64>,
    /// What it may take; `None` where nothing limits it but the machine.
    pub limit_bytes: Option<u64>,
    /// What the machine has.
    pub machine_bytes: Option<u64>,
    /// What of that is free, or can be freed.
    pub available_bytes: Option<u64>,
}

/// A disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Disk {
    /// What it has.
    pub total_bytes: u64,
    /// What the process may still write.
    pub free_bytes: u64,
}

impl Machine {
    /// Reads everything, from files that the system makes up as they are read.
    pub(crate) fn read(data_dir: &Path, uptime: Duration) -> Self {
        Self {
            cpu: Cpu::read(uptime),
            memory: Memory::read(),
            disk: disk(data_dir),
        }
    }
}

impl Cpu {
    fn read(uptime: Duration) -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let most = uptime.as_secs_f64() * processors as f64;
        Self {
            process_seconds: seconds,
            share: if most > 0.0 {
                (seconds / most).min(1.0)
            } else {
                0.0
            },
            processors,
        }
    }
}

impl Memory {
    pub(crate) fn read() -> Self {
        let own = text("/proc/self/status");
        let machine = text("/proc/meminfo");
        let machine_bytes = kibibytes(&machine, "MemTotal:");
        let groups = text("/proc/self/cgroup");
        let limits = [
            group_limit(Path::new(GROUPS), &groups),
            address_space_limit(),
        ];
        // A limit above what there is limits nothing.
        let limits = limits.into_iter().flatten();
        let limits = limits.filter(|limit| machine_bytes.is_none_or(|all| *limit < all));
        Self {
            resident_bytes: kibibytes(&own, "VmRSS:"),
            limit_bytes: limits.min(),
            machine_bytes,
            available_bytes: kibibytes(&machine, "MemAvailable:"),
        }
    }
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Reads what a line of a table says that Linux writes in KiB.
fn kibibytes(table: &str, name: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes * 1024)
}

/// Returns the least that the control groups allow which `/proc/self/cgroup` lists, and those above them. A group
/// without a limit says `max`, or more than there can be.
fn group_limit(groups: &Path, listed: &str) -> Option<u64> {
    let files = listed.lines().filter_map(|line| group_file(groups, line));
    let limits = files.flat_map(|(root, group, file)| {
        let above = group
            .ancestors()
            .map(|group| text(root.join(group).join(file)));
        above.collect::<Vec<_>>()
    });
    limits.filter_map(|limit| limit.trim().parse().ok()).min()
}

/// Returns where the groups of a line lie, which of them it is and in what file its limit is, by the version of
/// control groups.
fn group_file(groups: &Path, line: &str) -> Option<(PathBuf, PathBuf, &'static str)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?);
    let group = PathBuf::from(group.trim_start_matches('/'));
    match controllers {
        "" => Some((groups.to_owned(), group, "memory.max")),
        "memory" => Some((groups.join("memory"), group, "memory.limit_in_bytes")),
        _ => None,
    }
}

fn address_space_limit() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Reads how full the disk is that has, or would have, `path`.
fn disk(path: &Path) -> Option<Disk> {
    let read = path.ancestors().find_map(|path| statvfs(path).ok())?;
    Some(Disk {
        total_bytes: read.f_blocks.saturating_mul(read.f_frsize),
        free_bytes: read.f_bavail.saturating_mul(read.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_processors_memory_and_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("a/b");
        let machine = Machine::read(&missing, Duration::from_secs(3600));
        assert!(machine.cpu.processors >= 1 && machine.cpu.process_seconds > 0.0);
        assert!((0.0..=1.0).contains(&machine.cpu.share));
        let memory = machine.memory;
        let resident = memory.resident_bytes.unwrap();
        assert!(resident > 1 << 20 && resident < memory.machine_bytes.unwrap());
        assert!(memory.available_bytes.unwrap() <= memory.machine_bytes.unwrap());
        assert!(memory.limit_bytes.is_none_or(|limit| limit > resident));
        let disk = machine.disk.unwrap();
        assert!(disk.free_bytes <= disk.total_bytes && disk.total_bytes > 0);
    }

    fn write(root: &Path, file: &str, limit: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, limit).unwrap();
    }

    #[test]
    fn the_limit_is_the_least_of_the_group_and_those_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "memory.max", "4194304\n");
        write(root, "pod/memory.max", "1048576\n");
        write(root, "pod/box/memory.max", "max\n");
        let listed = "1:name=systemd:/x\n0::/pod/box\n";
        assert_eq!(group_limit(root, listed), Some(1 << 20));
        assert_eq!(group_limit(root, "0::/\n"), Some(4 << 20));
        assert_eq!(group_limit(root, "1:name=systemd:/x\n"), None);
    }

    #[test]
    fn the_first_version_of_groups_has_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = "memory/docker/box/memory.limit_in_bytes";
        write(folder.path(), file, "2097152\n");
        let listed = "4:memory:/docker/box\n3:cpu,cpuacct:/docker/box\n";
        assert_eq!(group_limit(folder.path(), listed), Some(2 << 20));
    }
}
