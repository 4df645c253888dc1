//! What a program needs of certificates, and how strict it is.

use brownie_config::CertSettings;
use chrono::TimeDelta;

use crate::{Fault, Faults};

/// What a certificate is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Those whom we believe.
    Ca,
    /// What we show to servers.
    Client,
    /// What we show to clients.
    Server,
}

/// Whether something has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is not looked at.
    Never,
    /// It is used if it is there.
    IfThere,
    /// Without it nothing works.
    Always,
}

/// What a server has to prove to us. There is no way from one of these to a lesser one while a program
/// runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// That an authority vouches for it by the name we called it.
    Name,
    /// That an authority of ours vouches for it, by whatever name.
    Authority,
    /// Nothing. Encrypted, and perhaps for somebody in between.
    Nothing,
}

/// What a program needs of certificates, and how strict it is.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The authorities. Without them the system's are believed, so a program that is given a CA
    /// should need it: from then on nobody else is believed.
    pub ca: Need,
    /// What we show to servers.
    pub client: Need,
    /// What we show to clients.
    pub server: Need,
    /// What servers have to prove.
    pub proof: Proof,
    /// The CN that our client certificate must have.
    pub expected_cn: Option<String>,
    /// Whether what [may be a warning](Fault::may_be_a_warning) is a fault.
    pub strict: bool,
    /// How long before its end a certificate is warned of; less for one that lives shorter than
    /// four times this, of which the last quarter is warned of.
    pub warn_within: TimeDelta,
}

impl Policy {
    /// Returns the policy of settings, which uses what is there. Set the needs to ask for more.
    pub fn of(settings: &CertSettings) -> Self {
        Self {
            ca: Need::IfThere,
            client: Need::IfThere,
            server: Need::Never,
            proof: Proof::Name,
            expected_cn: settings.expected_cn.clone(),
            strict: settings.strict,
            warn_within: TimeDelta::days(settings.warn_days.into()),
        }
    }

    /// Returns the policy of a program that shows a certificate to servers of its own CA.
    pub fn mutual(settings: &CertSettings) -> Self {
        Self { ca: Need::Always, client: Need::Always, ..Self::of(settings) }
    }

    /// Returns the warnings, unless there are faults that forbid the use.
    pub(crate) fn divide(&self, faults: Vec<Fault>) -> Result<Vec<Fault>, Faults> {
        let (warnings, grave) = self.sort(faults);
        Faults::unless_none(grave)?;
        Ok(warnings)
    }

    /// Divides faults into warnings, and those that forbid the use.
    pub(crate) fn sort(&self, faults: Vec<Fault>) -> (Vec<Fault>, Vec<Fault>) {
        faults.into_iter().partition(|fault| {
            fault.is_always_a_warning() || (!self.strict && fault.may_be_a_warning())
        })
    }
}
