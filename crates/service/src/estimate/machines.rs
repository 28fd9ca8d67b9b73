use llmopt_domain::Precision;

use super::shape::OnGpu;
use crate::machine::Memory;

/// The name of the machine that a process runs on.
pub(super) const HERE: &str = "local";

/// How fast a machine computes, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speed {
    /// Floating point operations in a second that a training gets.
    pub(super) per_second: f64,
    /// Seconds that a pass over a micro-batch takes however little there is in it.
    pub(super) pass_seconds: f64,
}

/// A kind of machine that is known by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gpu {
    /// The instance types that have it: what comes before the dot.
    families: &'static [&'static str],
    /// What the GPU is called.
    pub(super) name: &'static str,
    memory_gib: u64,
    /// 10¹² operations in a second at most, by the maker's data sheet, without sparsity.
    f32_peak: f64,
    /// The same of products in bf16, if it has them.
    bf16_peak: Option<f64>,
}

/// What of its peak a GPU does, and what each pass costs beside it: a LoRA of GPT-2 small on an H200, with 4 rows a
/// pass and with 32 (docs/BENCHMARKS.md). In bf16 all but the products is done in 32 bits.
const F32_SHARE: f64 = 0.5;
const F32_PASS_SECONDS: f64 = 0.027;
const BF16_SHARE: f64 = 0.12;
const BF16_PASS_SECONDS: f64 = 0.044;

/// What one thread of an AMD EPYC with AVX-512 does (docs/BENCHMARKS.md).
const F32_THREAD: f64 = 62e9;
const BF16_THREAD: f64 = 96e9;

const GPUS: [Gpu; 9] = [
    gpu(&["g4dn"], "T4", (16, 8.1, None)),
    gpu(&["g5"], "A10G", (24, 31.2, Some(70.0))),
    gpu(&["g6", "gr6"], "L4", (24, 30.3, Some(121.0))),
    gpu(&["g6e"], "L40S", (48, 91.6, Some(362.0))),
    gpu(&["p4d"], "A100", (40, 19.5, Some(312.0))),
    gpu(&["p4de"], "A100", (80, 19.5, Some(312.0))),
    gpu(&["p5"], "H100", (80, 66.9, Some(989.0))),
    gpu(&["p5e"], "H200", (141, 66.9, Some(989.0))),
    gpu(&["p5en"], "H200", (141, 66.9, Some(989.0))),
];

const fn gpu(
    families: &'static [&'static str],
    name: &'static str,
    (memory_gib, f32_peak, bf16_peak): (u64, f64, Option<f64>),
) -> Gpu {
    Gpu {
        families,
        name,
        memory_gib,
        f32_peak,
        bf16_peak,
    }
}

impl Gpu {
    /// Returns the GPU of a machine such as `g5.xlarge`; a trainer computes on one.
    pub(super) fn of(machine: &str) -> Option<Self> {
        let family = machine.split('.').next()?;
        let mut all = GPUS.into_iter();
        all.find(|gpu| gpu.families.contains(&family))
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_gib << 30
    }

    /// Returns how fast it computes in `precision`, if it can.
    pub(super) fn speed(&self, precision: Precision) -> Option<Speed> {
        let (peak, share, pass_seconds) = match precision {
            Precision::F32 => (self.f32_peak, F32_SHARE, F32_PASS_SECONDS),
            Precision::Bf16 => (self.bf16_peak?, BF16_SHARE, BF16_PASS_SECONDS),
        };
        Some(Speed {
            per_second: peak * 1e12 * share,
            pass_seconds,
        })
    }
}

/// Returns how fast so many threads compute on a processor like the one that was measured.
pub(super) fn processor(threads: u32, precision: Precision) -> Speed {
    let thread = match precision {
        Precision::F32 => F32_THREAD,
        Precision::Bf16 => BF16_THREAD,
    };
    Speed {
        per_second: thread * f64::from(threads),
        pass_seconds: 0.0,
    }
}

/// Returns what a process may take of the machine it runs on.
pub(super) fn memory_here() -> Option<u64> {
    let memory = Memory::read();
    memory.limit_bytes.or(memory.machine_bytes)
}

/// What the libraries take before there is a model: on a processor those that a trainer maps, on a GPU what CUDA takes
/// there.
pub(super) fn runtime_bytes(on_gpu: OnGpu) -> u64 {
    match on_gpu {
        OnGpu::Yes => 600 << 20,
        OnGpu::No => 300 << 20,
    }
}
