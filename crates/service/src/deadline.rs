//! Until when a caller waits, for work that can end early with what it has.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Request;
use tonic::codegen::http::HeaderMap;

/// Room for the way back, as a share of the time that was left when the work began.
const WAY_BACK: f64 = 0.1;

/// When the answer to a request must be there: the sooner of what the client asks for
/// (`grpc-timeout`) and what the server allows.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
    is_asked: bool,
}

impl Deadline {
    /// That of a request behind [`crate::serve`]; nothing from elsewhere.
    pub fn of<T>(request: &Request<T>) -> Option<Self> {
        request.extensions().get::<Self>().copied()
    }

    pub(crate) fn after(limit: Duration, headers: &HeaderMap) -> Self {
        let asked = headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?));
        let end = Instant::now() + asked.map_or(limit, |asked| asked.min(limit));
        Self { end, is_asked: asked.is_some() }
    }

    /// Whether the client asks for it; else it is the server's own.
    pub fn is_asked(self) -> bool {
        self.is_asked
    }

    /// Begins work in steps, and says after each whether there is no time for one more that takes as
    /// long as the longest so far.
    pub fn watch(self) -> impl Fn() -> bool {
        let steps = RefCell::new(Steps::begin(Instant::now(), self));
        move || steps.borrow_mut().are_over(Instant::now())
    }
}

/// How long the steps of some work take.
struct Steps {
    /// The end of the last one.
    last: Instant,
    longest: Duration,
    end: Instant,
}

impl Steps {
    fn begin(now: Instant, Deadline { end, .. }: Deadline) -> Self {
        let end = end - end.saturating_duration_since(now).mul_f64(WAY_BACK);
        Self { last: now, longest: Duration::ZERO, end }
    }

    fn are_over(&mut self, now: Instant) -> bool {
        self.longest = self.longest.max(now - self.last);
        self.last = now;
        now + self.longest > self.end
    }
}

/// The value of a `grpc-timeout` header: at most 8 digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    match unit {
        "H" => Some(Duration::from_secs(3600 * number)),
        "M" => Some(Duration::from_secs(60 * number)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_as_grpc_writes_it() {
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("3S"), Some(Duration::from_secs(3)));
        for malformed in ["", "S", "3", "-3S", "+3S", "999999999S", "3€"] {
            assert_eq!(timeout(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn no_step_begins_that_would_end_too_late() {
        let ms = Duration::from_millis;
        let begin = Instant::now();
        let deadline = |end| Deadline { end, is_asked: true };
        let mut steps = Steps::begin(begin, deadline(begin + ms(1000)));
        let over = [200, 400, 600, 800].map(|after| steps.are_over(begin + ms(after)));
        assert_eq!(over, [false, false, false, true], "900 ms are left for work");
        let mut steps = Steps::begin(begin, deadline(begin));
        assert!(steps.are_over(begin + ms(1)));
    }

    #[test]
    fn the_sooner_of_two_limits_counts() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", "1S".parse().expect("a value"));
        let [short, long] = [1, 60_000]
            .map(|ms| Deadline::after(Duration::from_millis(ms), &headers).end - Instant::now());
        assert!(short <= Duration::from_millis(1) && long <= Duration::from_secs(1));
        let is_asked = |headers| Deadline::after(Duration::from_secs(1), headers).is_asked();
        assert!(is_asked(&headers) && !is_asked(&HeaderMap::new()));
    }
}
