//! Hashing that gives the same numbers on every machine and with every release of the compiler, which the
//! standard library does not promise of its own.

/// Spreads each bit of `bits` over all (the finaliser of SplitMix64: Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014).
pub(super) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Spreads each bit of `bits` over all (the finaliser of MurmurHash3 for 32 bits).
pub(super) const fn mix32(mut bits: u32) -> u32 {
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}

/// Returns the number at `index` of SplitMix64's sequence.
pub(super) const fn random(index: u64) -> u64 {
    mix(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Hashes a sequence of numbers, whose order counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain(u64);

impl Chain {
    pub(super) fn push(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed.rotate_left(29).wrapping_add(1);
    }

    pub(super) fn finish(self) -> u64 {
        mix(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // The first numbers of the reference implementation with the seed 0.
        assert_eq!(random(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random(1), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn short_sequences_do_not_collide() {
        let mut seen = HashSet::new();
        for first in 0..300 {
            for second in 0..300 {
                let mut chain = Chain::default();
                chain.push(first);
                chain.push(second);
                assert!(seen.insert(chain.finish() >> 16), "{first} {second}");
            }
        }
    }
}
