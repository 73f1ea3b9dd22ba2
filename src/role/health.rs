//! The answer to "is the group well?". Pure data.

/// Whether a group serves as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Healthy,
    /// Not yet or no longer; the reason is for people and changes while one waits.
    Unhealthy(String),
    /// It can't be with those members alone that are to be in place; why, for people.
    Short(String),
}

impl Health {
    /// Whether it is [`Health::Healthy`].
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy)
    }

    /// What is wrong with it, for people; `None` where nothing is.
    pub fn lacks(self) -> Option<String> {
        match self {
            Self::Healthy => None,
            Self::Unhealthy(reason) | Self::Short(reason) => Some(reason),
        }
    }
}
