use llmopt_service::Sampling;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Chooses the next token of an answer.
pub(crate) struct Sampler {
    temperature: f64,
    top_p: f64,
    random: ChaCha8Rng,
    /// Tokens by weight, kept for its memory.
    candidates: Vec<(u32, f64)>,
}

impl Sampler {
    pub(crate) fn new(sampling: &Sampling) -> Self {
        Self {
            temperature: f64::from(sampling.temperature),
            top_p: f64::from(sampling.top_p),
            random: ChaCha8Rng::seed_from_u64(sampling.seed),
            candidates: Vec::new(),
        }
    }

    /// Returns the likeliest token at temperature 0, the first of equals, or one drawn by probability.
    pub(crate) fn next(&mut self, logits: &[f32]) -> u32 {
        let likeliest = likeliest(logits);
        // What is no number is no temperature either.
        if self.temperature > 0.0 {
            let greatest = logits.get(likeliest as usize).copied();
            self.weigh(logits, f64::from(greatest.unwrap_or(0.0)));
            if self.top_p < 1.0 {
                self.keep_nucleus();
            }
            self.draw().unwrap_or(likeliest)
        } else {
            likeliest
        }
    }

    /// Softmax without the division: the likeliest token has weight 1.
    fn weigh(&mut self, logits: &[f32], greatest: f64) {
        let temperature = self.temperature;
        let weight = |logit: f32| ((f64::from(logit) - greatest) / temperature).exp();
        let weighed = (0..).zip(logits.iter().map(|&logit| weight(logit)));
        self.candidates.clear();
        self.candidates.extend(weighed);
    }

    /// Keeps the fewest of the likeliest tokens whose probabilities add up to `top_p` (Holtzman et
    /// al., The Curious Case of Neural Text Degeneration, section 3.1).
    fn keep_nucleus(&mut self) {
        let total = self.total();
        // Tokens this unlikely have less than the share that is left out even if all are: sorting
        // the others, which are few, is enough.
        let least = (1.0 - self.top_p) * total / (self.candidates.len().max(1) as f64);
        self.candidates.retain(|&(_, weight)| weight >= least);
        self.candidates
            .sort_unstable_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        let mut sum = 0.0;
        let inside = self.candidates.iter().take_while(|(_, weight)| {
            let inside = sum == 0.0 || sum < self.top_p * total;
            sum += weight;
            inside
        });
        let count = inside.count();
        self.candidates.truncate(count);
    }

    fn draw(&mut self) -> Option<u32> {
        let mut rest = self.uniform() * self.total();
        for &(token, weight) in &self.candidates {
            rest -= weight;
            if rest < 0.0 {
                return Some(token);
            }
        }
        // The sum of rounded numbers may be a little less than the total.
        self.candidates.last().map(|&(token, _)| token)
    }

    fn total(&self) -> f64 {
        self.candidates.iter().map(|(_, weight)| weight).sum()
    }

    /// A number in [0, 1), of the 53 bits that it can have.
    fn uniform(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.random.next_u64() >> 11) as f64 * STEP
    }
}

/// The index of the greatest, the first of equals; 0 if there is none.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in (0..).zip(logits) {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f32, top_p: f32, seed: u64) -> Sampler {
        Sampler::new(&Sampling {
            max_tokens: 1,
            temperature,
            top_p,
            stop: Vec::new(),
            seed,
        })
    }

    /// How often each of the tokens was drawn.
    fn counts(sampler: &mut Sampler, logits: &[f32], draws: usize) -> Vec<usize> {
        let mut counts = vec![0; logits.len()];
        for _ in 0..draws {
            counts[sampler.next(logits) as usize] += 1;
        }
        counts
    }

    fn logits_of(probabilities: &[f32]) -> Vec<f32> {
        probabilities
            .iter()
            .map(|probability| probability.ln() + 3.0)
            .collect()
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_greatest() {
        for temperature in [0.0, -1.0, f32::NAN] {
            let mut sampler = sampler(temperature, 1.0, 1);
            assert_eq!(sampler.next(&[0.5, 2.0, -1.0, 2.0]), 1);
        }
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        let probabilities = [0.5, 0.3, 0.15, 0.05];
        let counts = counts(
            &mut sampler(1.0, 1.0, 7),
            &logits_of(&probabilities),
            20_000,
        );
        // Four standard deviations of a count are at most 283.
        for (count, probability) in counts.iter().zip(probabilities) {
            let expected = f64::from(probability) * 20_000.0;
            assert!((*count as f64 - expected).abs() < 283.0, "{counts:?}");
        }
    }

    #[test]
    fn a_low_temperature_sharpens_and_a_high_one_flattens() {
        let logits = logits_of(&[0.6, 0.4]);
        let cold = counts(&mut sampler(0.1, 1.0, 7), &logits, 2_000);
        let warm = counts(&mut sampler(1.0, 1.0, 7), &logits, 2_000);
        let hot = counts(&mut sampler(100.0, 1.0, 7), &logits, 2_000);
        assert!(cold[0] > 1_900 && cold[0] > warm[0], "{cold:?} {warm:?}");
        assert!(hot[0] < warm[0] && hot[0] > 900, "{hot:?} {warm:?}");
    }

    #[test]
    fn only_the_nucleus_is_drawn_from() {
        let logits = logits_of(&[0.05, 0.5, 0.15, 0.3]);
        for (top_p, expected) in [
            (0.0, [false, true, false, false]),
            (0.4, [false, true, false, false]),
            (0.6, [false, true, false, true]),
            (0.9, [false, true, true, true]),
            (1.0, [true; 4]),
        ] {
            let counts = counts(&mut sampler(1.0, top_p, 3), &logits, 2_000);
            let drawn: Vec<bool> = counts.iter().map(|&count| count > 0).collect();
            assert_eq!(drawn, expected, "{top_p}: {counts:?}");
        }
    }

    #[test]
    fn the_seed_fixes_what_is_drawn() {
        let logits = vec![0.0; 1_000];
        let draw = |seed| {
            let mut sampler = sampler(1.0, 0.9, seed);
            (0..20).map(|_| sampler.next(&logits)).collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }

    #[test]
    fn numbers_at_the_edge_do_not_panic() {
        for logits in [
            &[][..],
            &[0.0],
            &[f32::MAX, f32::MIN],
            &[f32::NEG_INFINITY, f32::NEG_INFINITY],
            &[f32::NAN, f32::NAN],
            &[f32::INFINITY, f32::INFINITY],
        ] {
            for temperature in [0.0, f32::MIN_POSITIVE, 1.0, f32::MAX, f32::INFINITY] {
                for top_p in [0.0, 0.5, 1.0, f32::NAN] {
                    let token = sampler(temperature, top_p, 1).next(logits) as usize;
                    assert!(token < logits.len().max(1), "{logits:?}");
                }
            }
        }
    }
}
