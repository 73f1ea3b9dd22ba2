//! The answer to "is the group well?". Pure data.

/// Whether a group serves as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Healthy,
    /// Not yet or no longer; the reason is for people and changes while one waits.
    Unhealthy(String),
}

impl Health {
    /// Whether it is [`Health::Healthy`].
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }
}
