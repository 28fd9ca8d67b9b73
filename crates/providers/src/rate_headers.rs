use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::headers::text;

/// The longest time that a header is taken to mean: a day. A server that says more is taken to say that.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a provider's headers say of its rate limits. Each part that no header tells is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// Requests.
    pub requests: RateState,
    /// Tokens of input and output together; with Anthropic, of whichever limit is the tightest.
    pub tokens: RateState,
    /// Tokens of input (Anthropic).
    pub input_tokens: RateState,
    /// Tokens of output (Anthropic).
    pub output_tokens: RateState,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    /// What there is when nothing was used.
    pub limit: Option<u64>,
    /// What is left.
    pub remaining: Option<u64>,
    /// When all of it is there again.
    pub reset_after: Option<Duration>,
}

impl RateState {
    /// Returns whether nothing is left.
    pub fn is_exhausted(&self) -> bool {
        self.remaining == Some(0)
    }
}

impl RateHeaders {
    /// Reads OpenAI's headers: `x-ratelimit-remaining-tokens`, with times as `6m0s`.
    pub fn openai(headers: &HeaderMap) -> Self {
        let state = |what: &str| RateState {
            limit: number(headers, &format!("x-ratelimit-limit-{what}")),
            remaining: number(headers, &format!("x-ratelimit-remaining-{what}")),
            reset_after: text(headers, &format!("x-ratelimit-reset-{what}"))
                .and_then(written_duration),
        };
        Self {
            requests: state("requests"),
            tokens: state("tokens"),
            ..Self::default()
        }
    }

    /// Reads Anthropic's headers: `anthropic-ratelimit-tokens-remaining`, with moments as RFC 3339 has them,
    /// which are `now` or later.
    pub fn anthropic(headers: &HeaderMap, now: Timestamp) -> Self {
        let state = |what: &str| RateState {
            limit: number(headers, &format!("anthropic-ratelimit-{what}-limit")),
            remaining: number(headers, &format!("anthropic-ratelimit-{what}-remaining")),
            reset_after: text(headers, &format!("anthropic-ratelimit-{what}-reset"))
                .and_then(|moment| moment.parse().ok())
                .map(|moment| time_until(moment, now)),
        };
        Self {
            requests: state("requests"),
            tokens: state("tokens"),
            input_tokens: state("input-tokens"),
            output_tokens: state("output-tokens"),
        }
    }

    /// Returns whether nothing is left of any limit.
    pub fn is_exhausted(&self) -> bool {
        let states = [
            self.requests,
            self.tokens,
            self.input_tokens,
            self.output_tokens,
        ];
        states.iter().any(RateState::is_exhausted)
    }
}

/// Reads how long to wait: `retry-after-ms`, or `retry-after` in seconds or as a date of HTTP. A moment that has
/// passed is no wait at all; what is neither is not there.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let milliseconds = text(headers, "retry-after-ms").and_then(|text| seconds(text, 1000.0));
    milliseconds.or_else(|| {
        let value = text(headers, RETRY_AFTER.as_str())?;
        seconds(value, 1.0).or_else(|| {
            let moment = rfc2822::DateTimeParser::new().parse_timestamp(value);
            moment.ok().map(|moment| time_until(moment, now))
        })
    })
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

fn time_until(moment: Timestamp, now: Timestamp) -> Duration {
    let wait = now.duration_until(moment).max(SignedDuration::ZERO);
    wait.unsigned_abs().min(LONGEST)
}

/// Reads a number of which `per_second` make a second.
fn seconds(value: &str, per_second: f64) -> Option<Duration> {
    let number: f64 = value.parse().ok()?;
    let is_time = number.is_finite() && number >= 0.0;
    let seconds = (number / per_second).min(LONGEST.as_secs_f64());
    is_time.then(|| Duration::from_secs_f64(seconds))
}

/// Reads a time as Go writes it: `1s`, `6m0s`, `1h2m3.5s`, `120ms`. A number alone is of seconds.
fn written_duration(value: &str) -> Option<Duration> {
    if let Some(time) = seconds(value, 1.0) {
        return Some(time);
    }
    let mut rest = value;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|it: char| it.is_ascii_digit());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        total = total.saturating_add(seconds(number, per_second(unit)?)?);
        rest = after;
    }
    Some(total.min(LONGEST))
}

/// Returns how many of a unit make a second.
fn per_second(unit: &str) -> Option<f64> {
    match unit {
        "d" => Some(1.0 / 86_400.0),
        "h" => Some(1.0 / 3600.0),
        "m" => Some(1.0 / 60.0),
        "s" => Some(1.0),
        "ms" => Some(1e3),
        "us" | "\u{b5}s" => Some(1e6),
        "ns" => Some(1e9),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::headers;

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn openai_says_what_is_left_and_for_how_long() {
        let rate = RateHeaders::openai(&headers(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]));
        let requests = RateState {
            limit: Some(60),
            remaining: Some(59),
            reset_after: Some(Duration::from_secs(1)),
        };
        let tokens = RateState {
            limit: Some(150_000),
            remaining: Some(0),
            reset_after: Some(Duration::from_secs(360)),
        };
        assert_eq!((rate.requests, rate.tokens), (requests, tokens));
        assert!(rate.is_exhausted());
        assert_eq!(RateHeaders::openai(&headers(&[])), RateHeaders::default());
    }

    #[test]
    fn anthropic_says_at_which_moment() {
        let rate = RateHeaders::anthropic(
            &headers(&[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-requests-reset", "2026-11-26T12:00:30Z"),
                ("anthropic-ratelimit-input-tokens-remaining", "7"),
                (
                    "anthropic-ratelimit-output-tokens-reset",
                    "2026-11-26T11:00:00Z",
                ),
                ("anthropic-ratelimit-tokens-reset", "soon"),
            ]),
            now(),
        );
        assert_eq!(rate.requests.reset_after, Some(Duration::from_secs(30)));
        assert_eq!(rate.requests.limit, Some(50));
        assert_eq!(rate.input_tokens.remaining, Some(7));
        assert_eq!(rate.output_tokens.reset_after, Some(Duration::ZERO));
        assert_eq!(rate.tokens, RateState::default());
    }

    #[test]
    fn times_are_read_as_go_writes_them() {
        let cases = [
            ("1s", 1_000_000),
            ("6m0s", 360_000_000),
            ("1h2m3.5s", 3_723_500_000),
            ("120ms", 120_000),
            ("17.5\u{b5}s", 17),
            ("0", 0),
            ("2.5", 2_500_000),
            ("1d", 86_400_000_000),
            ("900h", 86_400_000_000),
        ];
        for (text, micros) in cases {
            let read = written_duration(text).map(|it| it.as_micros());
            assert_eq!(read, Some(micros), "{text}");
        }
        for wrong in ["s", "1", "1x", "1m2", "-1s", "1..2s", "m1"] {
            let read = written_duration(wrong);
            assert_eq!(read.is_some(), wrong == "1", "{wrong}");
        }
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_as_a_date() {
        let wait = |value: &str| retry_after(&headers(&[("retry-after", value)]), now());
        assert_eq!(wait("20"), Some(Duration::from_secs(20)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        let date = "Thu, 26 Nov 2026 12:01:00 GMT";
        assert_eq!(wait(date), Some(Duration::from_secs(60)));
        let past = "Thu, 26 Nov 2026 11:00:00 GMT";
        assert_eq!(wait(past), Some(Duration::ZERO));
        for wrong in ["", "soon", "-1", "NaN", "inf"] {
            assert_eq!(wait(wrong), None, "{wrong}");
        }
        let both = [("retry-after", "20"), ("retry-after-ms", "1500")];
        let wait = retry_after(&headers(&both), now());
        assert_eq!(wait, Some(Duration::from_millis(1500)));
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in "\\PC{0,12}") {
            prop_assert!(written_duration(&text).is_none_or(|time| time <= LONGEST));
        }

        #[test]
        fn what_go_writes_is_read(hours in 0..20_u64, minutes in 0..60_u64, seconds in 0..60_u64) {
            let read = written_duration(&format!("{hours}h{minutes}m{seconds}s")).unwrap();
            prop_assert_eq!(read.as_secs_f64().round() as u64, hours * 3600 + minutes * 60 + seconds);
        }
    }
}
