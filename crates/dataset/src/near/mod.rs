//! Near duplicates: rows that say the same but for some words.
//!
//! A row is the set of its shingles: every five words in a row, whatever their case, where words are those of
//! Unicode (UAX #29); a text of fewer words is one shingle. Two rows are as alike as the Jaccard similarity
//! of their sets, |A ∩ B| / |A ∪ B| (Broder, "On the resemblance and containment of documents", 1997).
//!
//! Comparing all rows with all would take more than a day for a million, and keeping their texts all memory. So
//! each row is **signed** once (MinHash, same paper): under a random order of all shingles, two sets begin with
//! the same shingle with just the probability that is their similarity. 256 orders give 256 such trials, of each
//! of which four bits are kept: with the same memory, more trials of fewer bits estimate better than fewer
//! trials of more (Li and König, "b-Bit minwise hashing", 2010), down to where signing takes too long. Hashes
//! that differ agree by chance in one of 16 cases, for which the estimate is corrected.
//!
//! Rows are **compared** only if their signatures agree in one of 32 bands of eight hashes (Leskovec,
//! Rajaraman and Ullman, *Mining of Massive Datasets*, section 3.4). Hashes agree with p = s + (1 - s) / 16,
//! a band with p⁸, and at least one with 1 - (1 - p⁸)³²: the S-curve. Compared rows are near duplicates where
//! at least three quarters of the hashes agree, which is an estimate of 0.73 whose standard deviation is 0.03.
//!
//! | true similarity | 0.3 | 0.5 | 0.6 | 0.65 | 0.7 | 0.75 | 0.8 | 0.9 |
//! |---|---|---|---|---|---|---|---|---|
//! | compared | 0.006 | 0.184 | 0.529 | 0.743 | 0.906 | 0.982 | 0.999 | 1.000 |
//! | estimated as near | 0.000 | 0.000 | 0.000 | 0.004 | 0.148 | 0.749 | 0.995 | 1.000 |
//! | found | 0.000 | 0.000 | 0.000 | 0.003 | 0.134 | 0.736 | 0.994 | 1.000 |
//!
//! So 0.994 of the pairs at 0.8 are found. A limit of 0.7 would find 0.999, but where all rows are made from one
//! template, and each has thousands of others at 0.6, the luckiest estimate of those passes it.
//!
//! The eight hashes of a band are four bits each so that it is one number. With 128 hashes of eight bits, the
//! same memory, 18 bands of seven find 0.960 at 0.8 and let through 60 times as many at 0.6; 16 bands of eight
//! find 0.923. 512 hashes of two bits find 0.997, and signing takes twice as long. To keep all shingles
//! instead (four bytes each) would make the comparison exact, and cost 400 bytes for a row of 100 words, without
//! bound for a long one.
//!
//! The hash functions are 256 independent ones rather than one that is cut into 256 bins (Shrivastava,
//! "Optimal densification for fast one permutation hashing", 2017). That would be many times faster,
//! but most rows have fewer shingles than there are bins, whose copied hashes then agree together, and the
//! curve above would not be theirs. Nothing depends on the machine, on the number of threads, or on the
//! compiler's release.
//!
//! **Memory:** 136 bytes of each row, however long it is (128 of signature, 8 of key), and 26 more while pairs
//! are looked for: 147 MiB for a million rows, as measured. **Time:** in
//! proportion to the words; where thousands of rows share a band, each is compared with some of them only, so that
//! a dataset of rows made from one template does not take the square of its length.

mod candidates;
mod clusters;
mod hash;
mod leaks;
#[cfg(test)]
mod planted;
mod signature;
mod signing;
mod similarity;
mod sketches;
mod words;

use signature::Signature;

pub use clusters::Cluster;
pub use leaks::{Leak, leaks};
pub use similarity::Similarity;
pub use sketches::{NearDuplicates, NearPair, Sketches};
