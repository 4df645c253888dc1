//! What a check finds.

use serde::Serialize;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it by day.
    Warning,
    /// It does not work, or will not.
    Failed,
    /// Nobody looked: it is not in use, or something else has to be mended first.
    Skipped,
}

impl State {
    /// Returns its name, as reports have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What was found about one thing. What is not well comes with its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    name: &'static str,
    said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Ok(String),
    Warning(String, String),
    Failed(String, String),
    Skipped(String),
    /// Nobody could look, by a fault of ours.
    Broken(String),
}

impl Finding {
    /// It is as it should be.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, said: Said::Ok(found.into()) }
    }

    /// It works, and somebody should see to it.
    pub fn warning(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, said: Said::Warning(found.into(), remedy.into()) }
    }

    /// It does not work, or will not.
    pub fn failed(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, said: Said::Failed(found.into(), remedy.into()) }
    }

    /// Nobody looked, and why.
    pub fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, said: Said::Skipped(why.into()) }
    }

    /// Nobody could look, by a fault of ours.
    pub(crate) fn broken(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, said: Said::Broken(why.into()) }
    }

    /// Returns what was looked at.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns how it is.
    pub fn state(&self) -> State {
        match self.said {
            Said::Ok(_) => State::Ok,
            Said::Warning(..) => State::Warning,
            Said::Failed(..) | Said::Broken(_) => State::Failed,
            Said::Skipped(_) => State::Skipped,
        }
    }

    /// Returns what was found, or why nobody looked.
    pub fn found(&self) -> &str {
        match &self.said {
            Said::Ok(found)
            | Said::Warning(found, _)
            | Said::Failed(found, _)
            | Said::Skipped(found)
            | Said::Broken(found) => found,
        }
    }

    /// Returns what to do, if something is not well.
    pub fn remedy(&self) -> Option<&str> {
        match &self.said {
            Said::Warning(_, remedy) | Said::Failed(_, remedy) => Some(remedy),
            Said::Broken(_) => {
                Some("run it again, and report this: it is a defect of this program")
            }
            Said::Ok(_) | Said::Skipped(_) => None,
        }
    }

    /// Tells whether nobody could look, by a fault of ours.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.said, Said::Broken(_))
    }

    /// Tells whether what depends on it may be looked at.
    pub(crate) fn opens(&self) -> bool {
        matches!(self.said, Said::Ok(_) | Said::Warning(..))
    }

    /// Returns it with its texts changed.
    pub(crate) fn rewritten(self, change: impl Fn(String) -> String) -> Self {
        let said = match self.said {
            Said::Ok(found) => Said::Ok(change(found)),
            Said::Warning(found, remedy) => Said::Warning(change(found), change(remedy)),
            Said::Failed(found, remedy) => Said::Failed(change(found), change(remedy)),
            Said::Skipped(why) => Said::Skipped(change(why)),
            Said::Broken(why) => Said::Broken(change(why)),
        };
        Self { name: self.name, said }
    }
}
