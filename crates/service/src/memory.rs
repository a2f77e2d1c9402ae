//! The peak of resident memory of a program, sampled over its process and all below it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Samples every 100 ms until it is dropped.
#[derive(Debug)]
pub struct PeakMemory {
    peak_bytes: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl PeakMemory {
    /// Starts sampling in a thread of its own.
    pub fn watch() -> Self {
        let (peak_bytes, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (peak, over) = (Arc::clone(&peak_bytes), Arc::clone(&is_over));
        std::thread::spawn(move || {
            let mut system = System::new();
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(resident_bytes(&mut system), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { peak_bytes, is_over }
    }

    /// The highest sum seen so far.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for PeakMemory {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Resident memory of this process and of all below it.
fn resident_bytes(system: &mut System) -> u64 {
    let kind = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    let Ok(own) = sysinfo::get_current_pid() else { return 0 };
    let is_ours = |mut pid: Pid| {
        for _ in 0..8 {
            if pid == own {
                return true;
            }
            match system.process(pid).and_then(sysinfo::Process::parent) {
                Some(parent) => pid = parent,
                None => return false,
            }
        }
        false
    };
    let processes = system.processes();
    processes.iter().filter(|(pid, _)| is_ours(**pid)).map(|(_, process)| process.memory()).sum()
}
