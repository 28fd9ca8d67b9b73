use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Renders milliseconds since 1970 as RFC 3339 does, in UTC.
pub fn timestamp(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms)
        .unwrap_or(Timestamp::MAX)
        .to_string()
}

/// Returns the milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Reads a moment as RFC 3339 has it; `None` where it is none, or before 1970.
pub fn from_timestamp(text: &str) -> Option<u64> {
    let moment: Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rendered_in_utc() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_704_110_400_123), "2024-01-01T12:00:00.123Z");
    }

    #[test]
    fn moments_are_read_from_any_zone() {
        let noon = Some(1_704_110_400_000);
        assert_eq!(from_timestamp("2024-01-01T12:00:00Z"), noon);
        assert_eq!(from_timestamp("2024-01-01T13:00:00+01:00"), noon);
        for wrong in ["", "soon", "2024-01-01", "1969-01-01T00:00:00Z"] {
            assert_eq!(from_timestamp(wrong), None, "{wrong}");
        }
    }
}
