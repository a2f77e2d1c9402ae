//! Where networks compute: on the CPU, or on a GPU of this machine.
//!
//! A device is a matter of where, not of what: a command line names it once, for its process
//! ([`compute_on`]), and networks made afterwards are made there. GPUs are reached through Vulkan
//! (cargo feature `gpu`), which runs on every vendor's, or through CUDA (feature `cuda`). They are
//! listed before one is opened: Burn panics at the first tensor where a driver is missing, and may
//! take another graphics API without a word.
//!
//! Half precision is for networks alone: weights, gradients and the optimiser's state stay in 32
//! bits on the host, and gradients of outputs are scaled up by a power of two on their way through
//! ([`Precision::scale`]; Micikevicius et al. 2018, "Mixed precision training").

#[cfg(feature = "cuda")]
mod cuda;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, OnceLock, PoisonError};

use burn::tensor::{Device as Backend, FloatDType};
use lifecycle::ErrorKind;

#[cfg(feature = "cuda")]
use self::cuda as gpu;

/// What `--device` says: `cpu`, `gpu:N`, `gpu:N/f16`, `gpu:N/bf16`, `gpu`, `gpu/f16`, `gpu/bf16` or
/// `gpu:software`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum DeviceName {
    /// The processor.
    #[default]
    Cpu,
    /// The GPU of this number, from 0: discrete ones first.
    Gpu(usize, Precision),
    /// A GPU for each worker of this machine: the first for one alone ([`DeviceName::of_worker`]).
    OwnGpu(Precision),
    /// A Vulkan driver that computes on the processor: slow, for tests of the GPU's path.
    Software,
}

/// Numbers that a network computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, 10 of them of the fraction.
    F16,
    /// 16 bits, 7 of them of the fraction, with the range of 32 bits.
    Bf16,
}

/// A device that can be computed on.
#[derive(Debug, Clone)]
pub struct Device {
    name: DeviceName,
    hardware: String,
    backend: Backend,
}

/// A device cannot be computed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The text names no device.
    #[error(
        "device `{0}` is none of `cpu`, `gpu:N`, `gpu:N/f16`, `gpu:N/bf16` and `gpu:software`, where N is a number from 0, nor `gpu`, a GPU for each worker"
    )]
    Unknown(String),
    /// The program has no code for GPUs.
    #[error(
        "device {0}: this program is built for CPUs alone; build it with `--features lifecast/gpu`, or use `--device cpu`"
    )]
    NotBuilt(DeviceName),
    /// There is no such GPU.
    #[error(
        "device {name}: looked for {looked_for}, and found {found}; install the GPU's driver, or use `--device cpu`"
    )]
    Missing {
        /// What was asked for.
        name: DeviceName,
        /// What was looked for.
        looked_for: &'static str,
        /// What is there.
        found: String,
    },
    /// The GPU cannot compute in these numbers.
    #[error("device {name}: {hardware} does not compute in them ({reason}); use 32 bits: `gpu:N`")]
    Unsupported {
        /// What was asked for.
        name: DeviceName,
        /// The GPU.
        hardware: String,
        /// What it says.
        reason: String,
    },
    /// Networks of this process were made elsewhere before.
    #[error("device {name}: this process computes on {in_use} already")]
    OtherInUse {
        /// What was asked for.
        name: DeviceName,
        /// What networks compute on.
        in_use: DeviceName,
    },
    /// The driver refused.
    #[error("device {name}: {hardware} cannot be opened: {reason}")]
    Failed {
        /// What was asked for.
        name: DeviceName,
        /// The GPU.
        hardware: String,
        /// What the driver says.
        reason: String,
    },
}

impl DeviceError {
    /// Who has to act: whoever named the device.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(number, Precision::F32) => write!(f, "gpu:{number}"),
            Self::Gpu(number, precision) => write!(f, "gpu:{number}/{precision}"),
            Self::OwnGpu(Precision::F32) => f.write_str("gpu"),
            Self::OwnGpu(precision) => write!(f, "gpu/{precision}"),
            Self::Software => f.write_str("gpu:software"),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(text.to_owned());
        let (place, precision) = match text.split_once('/') {
            None => (text, Precision::F32),
            Some((place, "f32")) => (place, Precision::F32),
            Some((place, "f16")) => (place, Precision::F16),
            Some((place, "bf16")) => (place, Precision::Bf16),
            Some(_) => return Err(unknown()),
        };
        match text {
            "cpu" => return Ok(Self::Cpu),
            "gpu:software" => return Ok(Self::Software),
            _ if place == "gpu" => return Ok(Self::OwnGpu(precision)),
            _ => {}
        }
        let number = place.strip_prefix("gpu:").ok_or_else(unknown)?;
        let number: u16 = number.parse().map_err(|_| unknown())?;
        Ok(Self::Gpu(usize::from(number), precision))
    }
}

impl DeviceName {
    /// The numbers that networks compute in there.
    pub fn precision(self) -> Precision {
        match self {
            Self::Gpu(_, precision) | Self::OwnGpu(precision) => precision,
            Self::Cpu | Self::Software => Precision::F32,
        }
    }

    /// The device of one of the workers of this machine, who are numbered from 0.
    #[must_use]
    pub fn of_worker(self, number: usize) -> Self {
        match self {
            Self::OwnGpu(precision) => Self::Gpu(number, precision),
            Self::Cpu | Self::Gpu(..) | Self::Software => self,
        }
    }
}

impl Precision {
    /// What gradients of raw outputs are multiplied by, and the gradient of the weights divided by,
    /// so that few of them are too small for 16 bits: the power of two that brings the greatest to
    /// a sixteenth, which leaves room for sums over all tokens of a batch.
    pub(crate) fn scale(self, gradients: impl IntoIterator<Item = f32>) -> f32 {
        let largest = gradients.into_iter().fold(0.0_f32, |most, slope| most.max(slope.abs()));
        if self == Self::F32 || !largest.is_normal() {
            return 1.0;
        }
        (-4.0 - largest.log2().ceil()).clamp(-60.0, 60.0).exp2()
    }

    fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        }
    }
}

impl Device {
    /// The processor.
    pub fn cpu() -> Self {
        let hardware = "cpu".to_owned();
        Self { name: DeviceName::Cpu, hardware, backend: Backend::flex() }
    }

    /// Opens a device; one that this process has opened is shared.
    pub fn open(name: DeviceName) -> Result<Self, DeviceError> {
        static OPENED: Mutex<BTreeMap<DeviceName, Device>> = Mutex::new(BTreeMap::new());
        let name = name.of_worker(0);
        if name == DeviceName::Cpu {
            return Ok(Self::cpu());
        }
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = opened.get(&name) {
            return Ok(device.clone());
        }
        let (hardware, mut backend) = gpu::open(name)?;
        let precision = name.precision();
        if precision != Precision::F32 {
            backend.configure(precision.dtype()).map_err(|error| {
                let (hardware, reason) = (hardware.clone(), error.to_string());
                DeviceError::Unsupported { name, hardware, reason }
            })?;
        }
        let device = Self { name, hardware, backend };
        opened.insert(name, device.clone());
        Ok(device)
    }

    /// What it was opened as.
    pub fn name(&self) -> DeviceName {
        self.name
    }

    /// What it is, such as `NVIDIA H100 80GB HBM3`.
    pub fn hardware(&self) -> &str {
        &self.hardware
    }

    /// What two machines must share to make the same bytes: enters an artifact's key.
    pub fn kind(&self) -> String {
        match self.name {
            DeviceName::Cpu => "cpu".to_owned(),
            DeviceName::Software => format!("gpu {}", self.hardware),
            DeviceName::Gpu(_, precision) | DeviceName::OwnGpu(precision) => {
                format!("gpu {} {precision}", self.hardware)
            }
        }
    }

    /// Bytes that the device holds for this process; `None` for the processor.
    pub fn memory_bytes(&self) -> Option<u64> {
        if self.name == DeviceName::Cpu {
            return None;
        }
        self.backend.memory_pool_usage().map(|usage| usage.bytes_reserved)
    }

    /// Gives back what is held for reuse.
    pub fn release_memory(&self) {
        self.backend.memory_cleanup();
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }
}

/// The processor and all GPUs of this machine, as (what `--device` calls it, what it is).
pub fn devices() -> Vec<(DeviceName, String)> {
    let mut all = vec![(DeviceName::Cpu, "cpu".to_owned())];
    all.extend(gpu::list());
    all
}

static PROCESS: OnceLock<Device> = OnceLock::new();

/// Networks that this process makes from here on compute on this device. Said once, before any.
pub fn compute_on(name: DeviceName) -> Result<&'static Device, DeviceError> {
    let wanted = Device::open(name)?;
    let name = wanted.name;
    let device = PROCESS.get_or_init(|| wanted);
    if device.name == name {
        Ok(device)
    } else {
        Err(DeviceError::OtherInUse { name, in_use: device.name })
    }
}

/// What [`compute_on`] said, else the processor.
pub fn process_device() -> &'static Device {
    PROCESS.get_or_init(Device::cpu)
}

/// GPUs through Vulkan.
#[cfg(all(feature = "wgpu", not(feature = "cuda")))]
mod gpu {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use burn::tensor::wgpu::WgpuBackend;
    use burn::tensor::wgpu::wgpu::{Backends, DeviceType, Instance, InstanceDescriptor};
    use burn::tensor::{Device as Backend, DeviceKind};

    use super::{DeviceError, DeviceName, Precision};

    /// Whether kernels are SPIR-V from Burn's own compiler. Mesa's software driver (22.3) ends the
    /// process with a segmentation fault at the first of them.
    const COMPILES_SPIRV: bool = cfg!(feature = "gpu");

    pub(super) fn open(name: DeviceName) -> Result<(String, Backend), DeviceError> {
        let all = adapters();
        let found = match name {
            DeviceName::Cpu | DeviceName::OwnGpu(_) => None,
            DeviceName::Gpu(number, _) => {
                all.iter().filter(|(kind, _)| !is_software(kind)).nth(number)
            }
            DeviceName::Software => all.iter().find(|(kind, _)| is_software(kind)),
        };
        let Some((kind, hardware)) = found else {
            let names: Vec<&str> = all.iter().map(|(_, hardware)| hardware.as_str()).collect();
            let found = if names.is_empty() { "no driver".to_owned() } else { names.join(", ") };
            let looked_for = "a Vulkan driver (libvulkan.so.1 and what its ICD files name)";
            return Err(DeviceError::Missing { name, looked_for, found });
        };
        if COMPILES_SPIRV && is_software(kind) {
            let reason = "Burn's compiler for Vulkan crashes there; build with feature `wgpu`";
            let (hardware, reason) = (hardware.clone(), reason.to_owned());
            return Err(DeviceError::Failed { name, hardware, reason });
        }
        // Pinned: left to itself, it would take OpenGL where Vulkan fails.
        let options =
            Backend::wgpu_options().device_kind(kind.clone()).graphics_api(WgpuBackend::Vulkan);
        let (backend, _) = options.init_with_setup().map_err(|error| {
            let (hardware, reason) = (hardware.clone(), error.to_string());
            DeviceError::Failed { name, hardware, reason }
        })?;
        Ok((hardware.clone(), backend))
    }

    pub(super) fn list() -> Vec<(DeviceName, String)> {
        let (software, gpus): (Vec<_>, Vec<_>) =
            adapters().into_iter().partition(|(kind, _)| is_software(kind));
        let name = |number| DeviceName::Gpu(number, Precision::F32);
        let gpus = gpus.into_iter().enumerate().map(|(number, (_, gpu))| (name(number), gpu));
        let n_software = usize::from(!COMPILES_SPIRV);
        let software =
            software.into_iter().take(n_software).map(|(_, driver)| (DeviceName::Software, driver));
        gpus.chain(software).collect()
    }

    fn is_software(kind: &DeviceKind) -> bool {
        matches!(kind, DeviceKind::Cpu)
    }

    /// What Vulkan lists: discrete, integrated and virtual GPUs, then drivers that are software.
    fn adapters() -> Vec<(DeviceKind, String)> {
        let mut descriptor = InstanceDescriptor::new_without_display_handle();
        descriptor.backends = Backends::VULKAN;
        let instance = Instance::new(descriptor);
        let listed = pin!(instance.enumerate_adapters(Backends::VULKAN));
        // Outside a browser the answer is there at once.
        let Poll::Ready(listed) = listed.poll(&mut Context::from_waker(Waker::noop())) else {
            return Vec::new();
        };
        let all: Vec<_> = listed.iter().map(|adapter| adapter.get_info()).collect();
        let of_type = |wanted: DeviceType, kind: fn(usize) -> DeviceKind| {
            let of_type = all.iter().filter(move |info| info.device_type == wanted);
            of_type.enumerate().map(move |(number, info)| (kind(number), info.name.clone()))
        };
        of_type(DeviceType::DiscreteGpu, DeviceKind::DiscreteGpu)
            .chain(of_type(DeviceType::IntegratedGpu, DeviceKind::IntegratedGpu))
            .chain(of_type(DeviceType::VirtualGpu, DeviceKind::VirtualGpu))
            .chain(of_type(DeviceType::Cpu, |_| DeviceKind::Cpu))
            .collect()
    }
}

/// A program for CPUs alone.
#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
mod gpu {
    use burn::tensor::Device as Backend;

    use super::{DeviceError, DeviceName};

    pub(super) fn open(name: DeviceName) -> Result<(String, Backend), DeviceError> {
        Err(DeviceError::NotBuilt(name))
    }

    pub(super) fn list() -> Vec<(DeviceName, String)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in
            ["cpu", "gpu", "gpu/bf16", "gpu:0", "gpu:7", "gpu:0/f16", "gpu:1/bf16", "gpu:software"]
        {
            assert_eq!(text.parse::<DeviceName>().expect(text).to_string(), text);
        }
        assert_eq!("gpu:0/f32".parse(), Ok(DeviceName::Gpu(0, Precision::F32)));
        for text in [
            "",
            "gp",
            "gpu/f8",
            "gpu:",
            "gpu:-1",
            "cpu/f16",
            "gpu:0/f8",
            "cuda:0",
            "CPU",
            "gpu:70000",
        ] {
            let error = text.parse::<DeviceName>().expect_err(text);
            assert!(error.to_string().contains("`gpu:N`"), "{error}");
        }
    }

    #[test]
    fn workers_share_a_gpu_that_is_named_and_have_their_own_where_none_is() {
        let of = |name: &str| name.parse::<DeviceName>().expect(name).of_worker(3).to_string();
        assert_eq!(
            ["cpu", "gpu:1", "gpu", "gpu/f16"].map(of),
            ["cpu", "gpu:1", "gpu:3", "gpu:3/f16"]
        );
    }

    #[test]
    fn a_gpu_that_is_not_there_is_told_without_a_panic() {
        let name = DeviceName::Gpu(4000, Precision::F32);
        let error = Device::open(name).expect_err("no machine has so many");
        assert!(error.to_string().starts_with("device gpu:4000: "), "{error}");
        assert!(error.to_string().contains("--device cpu"), "{error}");
        assert!(devices().iter().any(|(name, _)| *name == DeviceName::Cpu));
    }

    #[test]
    fn small_gradients_are_scaled_into_the_range_of_16_bits() {
        assert_eq!(Precision::F32.scale([1e-9, -1e-6]), 1.0);
        for gradients in [[1e-9_f32, -1e-6], [-3.0, 0.0], [1e4, 2e-7]] {
            let largest = gradients.iter().fold(0.0_f32, |most, slope: &f32| most.max(slope.abs()));
            let scaled = largest * Precision::F16.scale(gradients);
            assert!((1.0 / 32.0..=1.0 / 16.0).contains(&scaled), "{scaled}");
        }
        assert_eq!(Precision::Bf16.scale([0.0]), 1.0);
        assert_eq!(Precision::F16.scale([f32::NAN, f32::INFINITY]), 1.0);
    }
}
