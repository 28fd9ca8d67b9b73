use super::{
    Similarity,
    hash::{mix32, random},
};

/// Hash functions in the family, and so hashes in a signature.
pub(super) const HASHES: usize = 256;

/// Bands of a signature.
pub(super) const BANDS: usize = 32;

/// Hashes in a band.
const ROWS: usize = HASHES / BANDS;

/// Bits that are kept of a hash: those of all hashes of a band fill one number.
const BITS: u32 = u32::BITS / ROWS as u32;

/// Each hash function is a permutation of the 32-bit numbers: it flips some bits and multiplies by an odd
/// number. The compiler makes vector instructions of it on x86-64 and AArch64 alike.
const MASKS: [u32; HASHES] = numbers(0, 0);
const FACTORS: [u32; HASHES] = numbers(HASHES as u64, 1);

const fn numbers(first: u64, bits: u32) -> [u32; HASHES] {
    let mut numbers = [0; HASHES];
    let mut i = 0;
    while i < HASHES {
        numbers[i] = (random(first + i as u64) >> 32) as u32 | bits;
        i += 1;
    }
    numbers
}

/// Of each hash function the last four bits of the least hash of a set, mixed: 128 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature([u32; BANDS]);

impl Signature {
    /// Signs a set of shingles.
    pub(super) fn of(shingles: &[u32]) -> Self {
        // Signed, because the first x86-64 processors compare no other numbers in vectors.
        let mut least = [i32::MAX; HASHES];
        for shingle in shingles {
            for i in 0..HASHES {
                let hash = (shingle ^ MASKS[i]).wrapping_mul(FACTORS[i]).cast_signed();
                least[i] = least[i].min(hash);
            }
        }
        let mut bands = [0; BANDS];
        for (band, least) in bands.iter_mut().zip(least.chunks_exact(ROWS)) {
            for least in least {
                // Mixed, because the last bits of a product depend on the last bits of the shingle only:
                // two shingles that share those would agree in all hashes at once.
                let kept = mix32(least.cast_unsigned()) >> (u32::BITS - BITS);
                *band = (*band << BITS) | kept;
            }
        }
        Self(bands)
    }

    /// Returns a band as one number: two rows of which one is the same are candidates.
    pub(super) fn band(&self, band: usize) -> u32 {
        self.0[band]
    }

    /// Estimates how alike the signed sets are.
    pub(super) fn similarity(&self, other: &Self) -> Similarity {
        let pairs = self.0.iter().zip(&other.0);
        let differ: u32 = pairs.map(|(one, two)| differing(one ^ two)).sum();
        Similarity::of_matches(HASHES as u16 - differ as u16)
    }
}

/// Counts the groups of four bits that are not all 0.
fn differing(mut bits: u32) -> u32 {
    bits |= bits >> 1;
    bits |= bits >> 2;
    (bits & 0x1111_1111).count_ones()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sets of `size` different random numbers of which `common` are in both.
    fn sets(seed: u64, size: u64, common: u64) -> [Vec<u32>; 2] {
        let number = |i| (random(seed * 1_000_000 + i) >> 32) as u32;
        [
            (0..size).map(number).collect(),
            (size - common..2 * size - common).map(number).collect(),
        ]
    }

    fn signatures(seed: u64, size: u64, common: u64) -> [Signature; 2] {
        sets(seed, size, common).map(|set| Signature::of(&set))
    }

    fn are_candidates([one, two]: &[Signature; 2]) -> bool {
        (0..BANDS).any(|band| one.band(band) == two.band(band))
    }

    /// The chance that two rows of similarity `jaccard` share a band: the S-curve.
    fn s_curve(jaccard: f64) -> f64 {
        let agree = jaccard + (1.0 - jaccard) / 16.0;
        1.0 - (1.0 - agree.powi(ROWS as i32)).powi(BANDS as i32)
    }

    #[test]
    fn the_s_curve_is_the_documented_one() {
        let curve = [0.3, 0.5, 0.6, 0.7, 0.8, 0.9].map(|j| format!("{:.3}", s_curve(j)));
        assert_eq!(
            curve,
            ["0.006", "0.184", "0.529", "0.906", "0.999", "1.000"]
        );
    }

    #[test]
    fn candidates_are_as_many_as_the_s_curve_says() {
        const PAIRS: u64 = 600;
        // 100 in both of 100 + 2 × what is in one alone.
        for (size, jaccard) in [(150, 0.5), (125, 2.0 / 3.0), (112, 100.0 / 124.0)] {
            let found = (0..PAIRS).filter(|&seed| are_candidates(&signatures(seed, size, 100)));
            let (found, expected) = (found.count() as f64, s_curve(jaccard) * PAIRS as f64);
            // Five standard deviations of a binomial, and one pair.
            let tolerance = 5.0 * (expected * (1.0 - s_curve(jaccard))).sqrt() + 1.0;
            assert!((found - expected).abs() < tolerance, "{found} {expected}");
        }
    }

    #[test]
    fn estimates_spread_as_those_of_independent_hashes() {
        let errors: Vec<f64> = (0..600)
            .map(|seed| {
                let [one, two] = signatures(seed, 100, 80);
                one.similarity(&two).value() - 80.0 / 120.0
            })
            .collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let spread = (errors.iter().map(|it| it * it).sum::<f64>() / errors.len() as f64).sqrt();
        let agree: f64 = 2.0 / 3.0 + 1.0 / 48.0;
        let expected = (agree * (1.0 - agree) / HASHES as f64).sqrt() / (15.0 / 16.0);
        assert!(
            mean.abs() < 5.0 * expected / (errors.len() as f64).sqrt(),
            "{mean}"
        );
        assert!(
            (spread / expected - 1.0).abs() < 0.15,
            "{spread} {expected}"
        );
    }

    #[test]
    fn sets_of_one_shingle_are_the_same_or_not() {
        let signature = |shingle| Signature::of(&[shingle]);
        let highest = (1..4_000).map(|i| signature(0).similarity(&signature(i << 8)));
        assert!(highest.max().unwrap() < Similarity::NEAR);
        assert_eq!(signature(7).similarity(&signature(7)).value(), 1.0);
    }

    #[test]
    fn a_shingle_that_occurs_twice_counts_once() {
        assert_eq!(Signature::of(&[1, 2, 2, 3, 1]), Signature::of(&[3, 2, 1]));
    }

    #[test]
    fn signatures_are_the_same_on_every_machine() {
        // As a second implementation, in Python, computes them.
        let [signature, _] = signatures(1, 100, 0);
        let bands = [0, 31].map(|band| signature.band(band));
        assert_eq!(bands, [853_630_915, 3_899_489_090]);
    }
}
