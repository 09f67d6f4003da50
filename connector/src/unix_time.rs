//! The wall clock as DingTalk writes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 UTC; 0 on a clock that is set before that.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A moment as people read it, to the second: `2026-11-29T10:02:00Z`.
pub(crate) fn utc(unix_ms: i64) -> humantime::Rfc3339Timestamp {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    // What is beyond the year 9999 cannot be shown, and no clock says it.
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since.min(YEAR_9999))
}

const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);

/// A moment in Chinese time, to the second: `2026-11-29 18:02:00`.
pub(crate) fn in_china(unix_ms: i64) -> String {
    const EIGHT_HOURS_MS: i64 = 8 * 3_600 * 1_000;
    let text = utc(unix_ms.saturating_add(EIGHT_HOURS_MS)).to_string();
    text.trim_end_matches('Z').replace('T', " ")
}
