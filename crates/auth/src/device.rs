//! Device tokens: who has logged in before, and so does not share the guesses of everybody else (OWASP,
//! "Slow Down Online Guessing Attacks with Device Cookies").
//!
//! A token opens nothing. It says that whoever holds it has once shown the password of an account, so that
//! strangers who guess at the account until it answers them no more do not keep its owner out. It ends with the
//! password, and with the key that signed it.

use std::{fmt, time::Duration};

use brownie_domain::{OrganizationId, UserId};
use openssl::sha::sha256;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Error, InvalidToken, Tokens,
    token::{EARLY, ISSUER, end, is_in_time},
};

/// A device that has logged in to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// The account's organization.
    pub org_id: OrganizationId,
    /// The account's user.
    pub user_id: UserId,
    /// Which device: its guesses are counted by this.
    pub id: Uuid,
    /// The password that it showed. With another, it is not known any more.
    pub password: PasswordMark,
}

/// Tells a password from those before and after it, by a digest of its stored hash, which has a salt. It opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordMark(u64);

impl PasswordMark {
    /// Makes the mark of a stored hash.
    pub fn of(stored: &str) -> Self {
        let digest = sha256(stored.as_bytes());
        Self(digest.iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte)))
    }
}

/// A token for a device. It cannot be shown by accident.
pub struct DeviceToken(String);

impl DeviceToken {
    /// Returns the token, for its device.
    pub fn expose(self) -> String {
        self.0
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[device token]")
    }
}

/// How long a device is known without logging in. Each log-in gives it another token.
const LIFETIME: Duration = Duration::from_hours(180 * 24);

/// Whom the token is for, and what its header calls it. Access tokens have others.
const AUDIENCE: &str = "brownie-device";
const TYPE: &str = "brownie-device+jwt";

#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: UserId,
    org_id: OrganizationId,
    jti: Uuid,
    pwd: PasswordMark,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Makes a device's token.
    ///
    /// # Errors
    /// [`Error::Failed`], which does not happen with keys of ours.
    pub fn issue_device(&self, device: Device) -> Result<DeviceToken, Error> {
        let now = self.now();
        let payload = Payload {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: device.user_id,
            org_id: device.org_id,
            jti: device.id,
            pwd: device.password,
            iat: now.timestamp(),
            exp: end(now, LIFETIME),
        };
        self.keys().sign(TYPE, &payload).map(DeviceToken)
    }

    /// Reads a device's token.
    ///
    /// # Errors
    /// When it is not ours, was tampered with, is not for devices, or is over.
    pub fn read_device(&self, token: &str) -> Result<Device, InvalidToken> {
        let payload: Payload = self.keys().open(TYPE, token)?;
        let is_ours = payload.iss == ISSUER && payload.aud == AUDIENCE;
        if !is_ours || !is_in_time(self.now(), payload.iat, payload.exp, EARLY, 0) {
            return Err(InvalidToken);
        }
        let Payload { org_id, sub: user_id, jti: id, pwd: password, .. } = payload;
        Ok(Device { org_id, user_id, id, password })
    }
}
