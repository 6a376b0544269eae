//! What the program takes of the machine's memory, as Linux counts it.

use std::{
    io::{Write, pipe},
    process::Stdio,
    time::Duration,
};

use rustix::pipe::fcntl_getpipe_size;

use super::Home;

/// How long a sample may take to be written.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// What eight times as many rows may take more: a fraction of what they take in the file.
const GROWTH_KIB_MAX: u64 = 2 * 1024;

impl Home {
    /// The most memory that the program had at any time until its sample was written, KiB.
    async fn peak_of_sample_kib(&self, rows: u64, name: &str) -> u64 {
        // It comes to its end only once somebody reads what it says: until then it can be looked at.
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(&vec![b'-'; fcntl_getpipe_size(&writer).unwrap()]).unwrap();
        let mut command = self.command(&["sample", "--rows", &rows.to_string(), "-o", name]);
        let mut child = command.stdin(Stdio::null()).stdout(writer).spawn().unwrap();
        drop(command);
        let written = async {
            while !self.path(name).exists() {
                assert_eq!(child.try_wait().unwrap(), None, "it ended without a sample");
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        let written = tokio::time::timeout(PATIENCE, written).await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        drop(reader);
        let ended = child.wait().unwrap();
        assert!(written.is_ok() && ended.success(), "{name}: {ended}");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    async fn sample_takes_the_same_for(&self, rows: u64, format: &str) {
        let few = self.peak_of_sample_kib(rows, &format!("few.{format}")).await;
        let many = self.peak_of_sample_kib(8 * rows, &format!("many.{format}")).await;
        assert!(few > 1024, "{few} KiB is no program's memory");
        assert!(many < few + GROWTH_KIB_MAX, "{format}: {rows} rows take {few} KiB, eight times as many {many} KiB");
    }
}

#[tokio::test]
async fn a_sample_takes_no_more_memory_for_more_rows() {
    let home = Home::new();
    home.sample_takes_the_same_for(50_000, "csv").await;
    home.sample_takes_the_same_for(5_000, "xlsx").await;
}
