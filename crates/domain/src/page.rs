//! Lists a page at a time, by keyset: a cursor is the position of the last row seen, not a count of
//! rows skipped, so that inserts and deletes between two pages neither repeat nor hide a row.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use uuid::Uuid;

use crate::{Invalid, Timestamp, kinds::kinds};

kinds! {
    /// The lists there are. A cursor belongs to one of them.
    List("list") {
        /// Agent configurations of a team.
        AgentConfigs = "agent_configs",
        /// The API keys of an organization.
        ApiKeys = "api_keys",
        /// The audit log of an organization.
        AuditLog = "audit_log",
        /// Configurations of an organization.
        Configs = "configs",
        /// Incidents of a team.
        Incidents = "incidents",
        /// The organizations that a caller sees.
        Organizations = "organizations",
        /// Statistics of a team or an organization.
        Stats = "stats",
        /// Teams of an organization.
        Teams = "teams",
        /// Users of an organization.
        Users = "users",
        // After the others: a cursor names its list by its place.
        /// Operations of the whole database.
        Operations = "operations",
    }
}

/// The place of a row in a list: lists run from the newest to the oldest, and rows of one moment by
/// descending id, so that the order is total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The moment the list is sorted by.
    pub at: Timestamp,
    /// The row.
    pub id: Uuid,
}

/// Where a page ended, in a form that clients hand back without looking into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

/// A cursor that this list did not give out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list; start again without one")]
pub struct InvalidCursor;

impl Cursor {
    /// One byte of the list, eight of the time, sixteen of the id.
    const BYTES: usize = 25;

    /// Returns the cursor for what comes after `position` in `list`.
    pub fn after(list: List, position: Position) -> Self {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.push(list as u8);
        bytes.extend(position.at.timestamp_micros().to_be_bytes());
        bytes.extend(position.id.as_bytes());
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads what a client sent back for `list`.
    ///
    /// # Errors
    /// When it is not one of ours, or of another list.
    pub fn read(list: List, text: &str) -> Result<Position, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let bytes: [u8; Self::BYTES] = bytes.try_into().map_err(|_| InvalidCursor)?;
        let [of, time_and_id @ ..] = bytes;
        let (time, id) = time_and_id.split_first_chunk().ok_or(InvalidCursor)?;
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(*time)).ok_or(InvalidCursor)?;
        let id = Uuid::from_slice(id).map_err(|_| InvalidCursor)?;
        if of != list as u8 {
            return Err(InvalidCursor);
        }
        Ok(Position { at, id })
    }

    /// Returns the text for the client.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    limit: u64,
    after: Option<Position>,
}

impl PageRequest {
    /// How many rows a page has when nobody says.
    pub const DEFAULT_LIMIT: u64 = 20;
    /// The most rows a page may have.
    pub const MAX_LIMIT: u64 = 100;
    /// How many bytes the rows of a page may have together, as the database sends them. A page ends before the
    /// row that would be too much, but has one row at least.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Asks for `limit` rows after `after`, or from the start.
    ///
    /// # Errors
    /// When `limit` is not 1 to [`Self::MAX_LIMIT`].
    pub fn new(limit: u64, after: Option<Position>) -> Result<Self, Invalid> {
        if !(1..=Self::MAX_LIMIT).contains(&limit) {
            return Err(Invalid::new(
                "limit",
                format!("must be 1 to {}, not {limit}", Self::MAX_LIMIT),
            ));
        }
        Ok(Self { limit, after })
    }

    /// Returns how many rows to return at most.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns where the previous page ended.
    pub fn after(&self) -> Option<Position> {
        self.after
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: Self::DEFAULT_LIMIT, after: None }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<Position>,
}

impl<T> Page<T> {
    /// Makes a page of what a query for one row more than `request` asked has found. `is_cut` if it did not
    /// read all of them.
    pub fn from_rows(
        mut rows: Vec<T>,
        is_cut: bool,
        request: PageRequest,
        position: impl Fn(&T) -> Position,
    ) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = is_cut || rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(position) } else { None };
        Self { items: rows, next }
    }

    /// Makes another page of the same rows, or fails with the first row that cannot be made.
    ///
    /// # Errors
    /// What `convert` returned.
    pub fn try_map<U, E>(self, convert: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let items = self.items.into_iter().map(convert).collect::<Result<_, E>>()?;
        Ok(Page { items, next: self.next })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(micros: i64, id: u128) -> Position {
        Position { at: DateTime::from_timestamp_micros(micros).unwrap(), id: Uuid::from_u128(id) }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = Cursor::after(List::Incidents, position(1, 2));
        assert_eq!(Cursor::read(List::Users, cursor.as_str()), Err(InvalidCursor));
    }

    #[test]
    fn the_last_page_has_no_next() {
        let request = PageRequest::new(2, None).unwrap();
        let full =
            Page::from_rows(vec![3_u8, 2, 1], false, request, |n| position(i64::from(*n), 0));
        assert_eq!((full.items, full.next), (vec![3, 2], Some(position(2, 0))));
        let last = Page::from_rows(vec![1_u8], false, request, |n| position(i64::from(*n), 0));
        assert_eq!(last.next, None);
        let cut = Page::from_rows(vec![1_u8], true, request, |n| position(i64::from(*n), 0));
        assert_eq!(cut.next, Some(position(1, 0)));
    }

    #[test]
    fn limits_are_1_to_100() {
        assert!(PageRequest::new(0, None).is_err());
        assert!(PageRequest::new(101, None).is_err());
        assert!(PageRequest::new(100, None).is_ok());
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back(micros in 0_i64..4_000_000_000_000_000, id: u128) {
            let position = position(micros, id);
            let cursor = Cursor::after(List::Stats, position);
            prop_assert_eq!(Cursor::read(List::Stats, cursor.as_str()), Ok(position));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = Cursor::read(List::Stats, &text);
        }
    }
}
