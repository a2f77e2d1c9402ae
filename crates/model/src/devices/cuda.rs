//! GPUs through CUDA.

use std::fs;
use std::path::PathBuf;

use burn::tensor::Device as Backend;

use super::{DeviceError, DeviceName, Precision};

/// NVIDIA's kernel driver lists its GPUs here, a folder for each.
const GPUS: &str = "/proc/driver/nvidia/gpus";

/// Sandboxes (gVisor) hide that list, and show `nvidia0`, `nvidia1` and so on here.
const FILES: &str = "/dev";

pub(super) fn open(name: DeviceName) -> Result<(String, Backend), DeviceError> {
    let all = hardware();
    let number = match name {
        DeviceName::Gpu(number, _) => number,
        DeviceName::Cpu | DeviceName::OwnGpu(_) | DeviceName::Software => usize::MAX,
    };
    // Without a driver Burn panics in a thread of its own: nothing of it is touched before.
    let Some(hardware) = all.get(number) else {
        let found = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        let looked_for = "NVIDIA's driver and its GPUs (/proc/driver/nvidia/gpus, /dev/nvidia0)";
        return Err(DeviceError::Missing { name, looked_for, found });
    };
    Ok((hardware.clone(), Backend::cuda(number)))
}

pub(super) fn list() -> Vec<(DeviceName, String)> {
    let name = |number| DeviceName::Gpu(number, Precision::F32);
    hardware().into_iter().enumerate().map(|(number, gpu)| (name(number), gpu)).collect()
}

/// Names of all GPUs, by their place on the bus, as CUDA numbers equal ones.
fn hardware() -> Vec<String> {
    let mut files: Vec<_> = entries(GPUS).map(|folder| folder.join("information")).collect();
    files.sort();
    let model = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix("Model:").map(str::trim));
        line.unwrap_or(UNNAMED).to_owned()
    };
    let named: Vec<String> =
        files.iter().filter_map(|file| fs::read_to_string(file).ok().map(model)).collect();
    if named.is_empty() { entries(FILES).filter_map(unnamed).collect() } else { named }
}

const UNNAMED: &str = "NVIDIA GPU";

fn entries(folder: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A GPU known by its file alone, whose number has no name.
fn unnamed(file: PathBuf) -> Option<String> {
    let number = file.file_name()?.to_str()?.strip_prefix("nvidia")?;
    number.parse::<u16>().is_ok().then(|| UNNAMED.to_owned())
}
