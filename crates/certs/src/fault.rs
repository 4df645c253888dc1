//! What can be wrong with certificates, each in words of its own.

use std::fmt;

use brownie_domain::Timestamp;
use chrono::TimeDelta;

use crate::VaultFault;

/// One thing that is wrong. `of` says with which file, or which field of which secret.
///
/// No message holds a key, a passphrase or a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nobody would vouch for the server.
    #[error(
        "sslmode=require without a CA verifies nothing; put ca.crt into CERT_DIR and use verify-full, or set DB_ALLOW_UNVERIFIED_SERVER=true"
    )]
    NoAuthority,
    /// What is needed is not there.
    #[error("{of} is not there")]
    Missing {
        /// What.
        of: String,
    },
    /// It is there, and cannot be read.
    #[error("{of} cannot be read: {why}")]
    Unreadable {
        /// What.
        of: String,
        /// What the system says.
        why: String,
    },
    /// It changes faster than it can be read.
    #[error("{of} is replaced each time it is read; is somebody writing it without end?")]
    Restless {
        /// What.
        of: String,
    },
    /// It is too large to be what it should be.
    #[error("{of} is larger than {limit} bytes, more than any such file has")]
    TooLarge {
        /// What.
        of: String,
        /// How many bytes would do.
        limit: usize,
    },
    /// It holds too many certificates.
    #[error("{of} holds {count} certificates; {limit} are the most (is it the right file?)")]
    TooMany {
        /// What.
        of: String,
        /// How many there are.
        count: usize,
        /// How many would do.
        limit: usize,
    },
    /// A private key that others may read.
    #[error("{of} is a private key open to others (mode {mode:04o}); chmod {advice} or less")]
    Open {
        /// Which.
        of: String,
        /// Its mode.
        mode: u32,
        /// The widest mode that will do.
        advice: &'static str,
    },
    /// It is something else, or in another form than PEM (RFC 7468).
    #[error("{of} holds no {expected} in PEM")]
    NotPem {
        /// What.
        of: String,
        /// What should be in it.
        expected: &'static str,
    },
    /// It is PEM, cut short or spoilt.
    #[error("{of} holds a {expected} that is cut short or damaged")]
    Damaged {
        /// What.
        of: String,
        /// What should be in it.
        expected: &'static str,
    },
    /// A key with a passphrase that nobody told.
    #[error(
        "{of} is encrypted; put its passphrase into {of}.pass, or set CERT_KEY_PASSPHRASE_FILE"
    )]
    Encrypted {
        /// Which.
        of: String,
    },
    /// A key with another passphrase than the one that was told.
    #[error("{of} does not open with the passphrase given")]
    WrongPassphrase {
        /// Which.
        of: String,
    },
    /// A key of a kind that is not in use here.
    #[error("{of} is a key of another kind than RSA, EC and Ed25519")]
    UnknownKey {
        /// Which.
        of: String,
    },
    /// A key that is too easy to break.
    #[error("{of} has an RSA key of {bits} bits; 2048 are the fewest")]
    WeakKey {
        /// What.
        of: String,
        /// Its length.
        bits: u32,
    },
    /// Certificate and key are of different pairs.
    #[error("{key} is not the key of the first certificate of {cert}; were both replaced?")]
    Mismatch {
        /// The certificate.
        cert: String,
        /// The key.
        key: String,
    },
    /// Its time has not come.
    #[error(
        "{of} is not valid before {begins}, {} from now; is the clock right? It shows {now}",
        Span(*.begins - *.now)
    )]
    NotYetValid {
        /// What.
        of: String,
        /// When it begins.
        begins: Timestamp,
        /// What our clock shows.
        now: Timestamp,
    },
    /// Its time is over.
    #[error("{of} expired at {ended}, {} ago", Span(*.now - *.ended))]
    Expired {
        /// What.
        of: String,
        /// When it ended.
        ended: Timestamp,
        /// What our clock shows.
        now: Timestamp,
    },
    /// Its time is nearly over. Never more than a warning.
    #[error("{of} expires at {ends}, in {}", Span(*.ends - *.now))]
    ExpiresSoon {
        /// What.
        of: String,
        /// When it ends.
        ends: Timestamp,
        /// What our clock shows.
        now: Timestamp,
    },
    /// It was made for another use (RFC 5280 sections 4.2.1.3 and 4.2.1.12).
    #[error("{of} is not made for this use; it needs the extended key usage {needed}")]
    WrongUsage {
        /// What.
        of: String,
        /// `clientAuth` or `serverAuth`.
        needed: &'static str,
    },
    /// It belongs to somebody else.
    #[error("{of} is of CN {found:?}, not of {expected:?}")]
    WrongName {
        /// What.
        of: String,
        /// The CN that it has.
        found: String,
        /// The CN that it should have.
        expected: String,
    },
    /// No chain leads from it to an authority of ours (RFC 5280 section 6).
    #[error("{of}, issued by {issuer:?}, is not signed by a CA of {ca} ({why})")]
    NotSigned {
        /// What.
        of: String,
        /// Who issued it, as it says itself.
        issuer: String,
        /// Where our authorities are.
        ca: String,
        /// What OpenSSL says.
        why: String,
    },
    /// The authority above it is not valid now.
    #[error("{of} hangs on a CA of {ca} that is not valid now ({why})")]
    IssuerOutOfTime {
        /// What.
        of: String,
        /// Where our authorities are.
        ca: String,
        /// What OpenSSL says.
        why: String,
    },
    /// There are authorities, but none that is valid now.
    #[error(
        "no CA of {of} is valid now; the last is valid from {begins} to {ends}, and our clock shows {now}"
    )]
    NoAuthorityNow {
        /// Where they are.
        of: String,
        /// When the one that ends last begins.
        begins: Timestamp,
        /// When it ends.
        ends: Timestamp,
        /// What our clock shows.
        now: Timestamp,
    },
    /// One authority of several whose time is over. Never more than a warning.
    #[error("{of}: the CA {subject:?} expired at {ended}; take it out of the bundle")]
    OldAuthority {
        /// Where it is.
        of: String,
        /// Which of the bundle.
        subject: String,
        /// When it ended.
        ended: Timestamp,
    },
    /// A certificate that may not vouch for others (RFC 5280 section 4.2.1.9).
    #[error("{of}: {subject:?} is no CA: it lacks basicConstraints CA:TRUE, or may not sign")]
    NotAuthority {
        /// Where it is.
        of: String,
        /// Which of the bundle.
        subject: String,
    },
    /// Its issuer took it back.
    #[error("{of} (serial {serial}) is revoked by the CRL {crl}")]
    Revoked {
        /// What.
        of: String,
        /// Its serial number, in hexadecimal.
        serial: String,
        /// Which list says so.
        crl: String,
    },
    /// A revocation list that should have been replaced. PostgreSQL refuses everybody with one.
    #[error("{of} is a CRL that should have been replaced at {ended}, {} ago", Span(*.now - *.ended))]
    CrlExpired {
        /// Which.
        of: String,
        /// When the next was due.
        ended: Timestamp,
        /// What our clock shows.
        now: Timestamp,
    },
    /// A revocation list that is in use and is not there any more.
    #[error(
        "{of}, the CRL in use of {issuer:?}, is gone, and what it took back would be good again; put a newer one in its place, or restart to go without"
    )]
    CrlMissing {
        /// Which.
        of: String,
        /// Whose it is.
        issuer: String,
    },
    /// A revocation list that is older than the one in use (RFC 5280 section 5.2.3).
    #[error(
        "{of} is a CRL of {made}, which is older than the one in use, of {in_use}: what that took back would be good again"
    )]
    CrlOlder {
        /// Which.
        of: String,
        /// When it was made.
        made: Timestamp,
        /// When the one in use was made.
        in_use: Timestamp,
    },
    /// A revocation list of somebody whom we do not know.
    #[error("{of} is a CRL of {issuer:?}, signed by no CA of {ca}")]
    CrlNotSigned {
        /// Which.
        of: String,
        /// Who issued it, as it says itself.
        issuer: String,
        /// Where our authorities are.
        ca: String,
    },
    /// The TLS library refuses what passed all of the above.
    #[error("OpenSSL cannot use {of}: {why}")]
    Tls {
        /// What.
        of: String,
        /// What it says.
        why: String,
    },
    /// Vault does not give what it is asked for.
    #[error(transparent)]
    Vault(#[from] VaultFault),
}

impl Fault {
    /// Returns whether `CERT_STRICT_VALIDATION=false` makes a warning of this.
    ///
    /// It may for what is wrong with our own certificate and the peer judges in any case. It may not
    /// for what cannot be used at all, nor for the authorities that we judge others by: without them
    /// a connection would be unverified.
    pub fn may_be_a_warning(&self) -> bool {
        matches!(
            self,
            Self::Open { .. }
                | Self::WeakKey { .. }
                | Self::NotYetValid { .. }
                | Self::Expired { .. }
                | Self::WrongUsage { .. }
                | Self::WrongName { .. }
                | Self::NotSigned { .. }
                | Self::IssuerOutOfTime { .. }
                | Self::Revoked { .. }
                | Self::CrlExpired { .. }
        ) || self.is_always_a_warning()
    }

    /// Returns whether this is a warning however strict one is.
    pub fn is_always_a_warning(&self) -> bool {
        matches!(self, Self::ExpiresSoon { .. } | Self::OldAuthority { .. })
    }

    /// Returns the same fault as if it had been found at `moment`, so that one fault found twice can
    /// be known for what it is.
    pub(crate) fn found_at(&self, moment: Timestamp) -> Self {
        let mut fault = self.clone();
        match &mut fault {
            Self::NotYetValid { now, .. }
            | Self::Expired { now, .. }
            | Self::ExpiresSoon { now, .. }
            | Self::NoAuthorityNow { now, .. }
            | Self::CrlExpired { now, .. } => *now = moment,
            _ => {}
        }
        fault
    }
}

/// Why certificates are not used: one fault or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Returns them, unless there are none.
    pub(crate) fn unless_none(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// Returns them one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// Returns whether both are the same faults, found at whatever time.
    pub(crate) fn are_those_of(&self, other: &Self) -> bool {
        let timeless = |faults: &Self| -> Vec<Fault> {
            faults.iter().map(|fault| fault.found_at(Timestamp::default())).collect()
        };
        timeless(self) == timeless(other)
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

/// A length of time in the largest unit that fills at least one.
struct Span(TimeDelta);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (self.0.num_days(), "days"),
            (self.0.num_hours(), "hours"),
            (self.0.num_minutes(), "minutes"),
        ];
        match units.into_iter().find(|(number, _)| *number > 1) {
            Some((number, unit)) => write!(f, "{number} {unit}"),
            None => write!(f, "{} seconds", self.0.num_seconds()),
        }
    }
}
