//! A bulkhead (Nygard, Release It!, "Bulkheads"): permits of something that all tenants share, of which no
//! tenant holds more than its share, and for which tenants wait in turn.
//!
//! A semaphore that is fair by arrival is not fair by tenant: whoever sends a hundred requests has a
//! hundred places in its queue. Here each tenant has a queue of its own, and the queues take turns.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// How a [`Bulkhead`] divides what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// How many permits there are.
    pub permits: usize,
    /// The most that one tenant holds.
    pub share: usize,
    /// The most of one tenant that wait. What comes beyond is refused at once.
    pub waiting: usize,
}

impl Division {
    /// Leaves half of `permits`, rounded down, to others; `waiting` for each permit of a share may wait.
    pub fn halves(permits: usize, waiting: usize) -> Self {
        let share = permits.div_ceil(2).max(1);
        Self { permits, share, waiting: share.saturating_mul(waiting) }
    }
}

/// The tenant's queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} already wait, which is the most that may")]
pub struct QueueFull {
    /// How many wait.
    pub waiting: usize,
}

/// Permits, shared by tenants that `K` names. Cheap to clone; all clones are one.
pub struct Bulkhead<K: Eq + Hash + Copy>(Arc<Inner<K>>);

struct Inner<K> {
    division: Division,
    state: Mutex<State<K>>,
}

struct State<K> {
    free: usize,
    /// Those that hold or wait.
    tenants: HashMap<K, Tenant<K>>,
    /// Those that wait, whose turn is next first.
    turns: VecDeque<K>,
    next_ticket: u64,
}

struct Tenant<K> {
    held: usize,
    waiting: VecDeque<(u64, oneshot::Sender<Permit<K>>)>,
}

impl<K> Default for Tenant<K> {
    fn default() -> Self {
        Self { held: 0, waiting: VecDeque::new() }
    }
}

impl<K: Eq + Hash + Copy> Bulkhead<K> {
    /// Divides permits. A share is at least one permit.
    pub fn new(division: Division) -> Self {
        let division = Division { share: division.share.max(1), ..division };
        let (tenants, turns) = (HashMap::new(), VecDeque::new());
        let state = State { free: division.permits, tenants, turns, next_ticket: 0 };
        Self(Arc::new(Inner { division, state: Mutex::new(state) }))
    }

    /// Waits for a permit. Who stops waiting gives the place up.
    ///
    /// # Errors
    /// When as many of this tenant wait as may.
    pub async fn enter(&self, tenant: K) -> Result<Permit<K>, QueueFull> {
        let (place, granted) = {
            let mut state = self.0.lock();
            let known = state.tenants.entry(tenant).or_default();
            let (held, waiting) = (known.held, known.waiting.len());
            if state.free > 0 && held < self.0.division.share {
                return Ok(state.grant(&self.0, tenant));
            }
            if waiting >= self.0.division.waiting {
                state.forget_if_idle(tenant);
                return Err(QueueFull { waiting });
            }
            let (grant, granted) = oneshot::channel();
            (state.wait(tenant, grant, Arc::clone(&self.0)), granted)
        };
        let permit = granted.await;
        drop(place);
        // Whoever waits is granted a permit before the place is gone.
        permit.map_err(|_| QueueFull { waiting: 0 })
    }

    /// Returns how many wait, of all tenants.
    pub fn waiting(&self) -> usize {
        self.0.lock().tenants.values().map(|tenant| tenant.waiting.len()).sum()
    }

    /// Tells whether a tenant holds all that it may.
    pub fn is_at_share(&self, tenant: K) -> bool {
        let state = self.0.lock();
        state.tenants.get(&tenant).is_some_and(|tenant| tenant.held >= self.0.division.share)
    }

    /// Returns how permits are divided.
    pub fn division(&self) -> Division {
        self.0.division
    }
}

impl<K: Eq + Hash + Copy> Clone for Bulkhead<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Copy> fmt::Debug for Bulkhead<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.0.lock().free;
        f.debug_struct("Bulkhead").field("division", &self.0.division).field("free", &free).finish()
    }
}

impl<K> Inner<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Copy> State<K> {
    fn grant(&mut self, of: &Arc<Inner<K>>, tenant: K) -> Permit<K> {
        self.free -= 1;
        self.tenants.entry(tenant).or_default().held += 1;
        Permit { of: Arc::clone(of), tenant, release: release::<K> }
    }

    fn wait(
        &mut self,
        tenant: K,
        grant: oneshot::Sender<Permit<K>>,
        of: Arc<Inner<K>>,
    ) -> Place<K> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let known = self.tenants.entry(tenant).or_default();
        if known.waiting.is_empty() {
            self.turns.push_back(tenant);
        }
        known.waiting.push_back((ticket, grant));
        Place { of, tenant, ticket }
    }

    /// Grants what is free to those whose turn it is and who are below their share. What is returned could
    /// not be handed over; it is dropped once the lock is gone, which comes back here.
    fn dispatch(&mut self, of: &Arc<Inner<K>>) -> Vec<Permit<K>> {
        let mut left = Vec::new();
        let mut passed_over = 0;
        while self.free > 0 && passed_over < self.turns.len() {
            let Some(tenant) = self.turns.pop_front() else { break };
            let known = self.tenants.entry(tenant).or_default();
            if known.held >= of.division.share {
                self.turns.push_back(tenant);
                passed_over += 1;
                continue;
            }
            let next = known.waiting.pop_front();
            if !known.waiting.is_empty() {
                self.turns.push_back(tenant);
            }
            passed_over = 0;
            if let Some((_, grant)) = next {
                let permit = self.grant(of, tenant);
                left.extend(grant.send(permit).err());
            }
        }
        left
    }

    fn forget_if_idle(&mut self, tenant: K) {
        if self.tenants.get(&tenant).is_some_and(|it| it.held == 0 && it.waiting.is_empty()) {
            self.tenants.remove(&tenant);
        }
    }
}

/// A place in a tenant's queue, given up when dropped.
struct Place<K: Eq + Hash + Copy> {
    of: Arc<Inner<K>>,
    tenant: K,
    ticket: u64,
}

impl<K: Eq + Hash + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        if let Some(known) = state.tenants.get_mut(&self.tenant) {
            let before = known.waiting.len();
            known.waiting.retain(|(ticket, _)| *ticket != self.ticket);
            if known.waiting.is_empty() && before > 0 {
                state.turns.retain(|tenant| *tenant != self.tenant);
            }
        }
        state.forget_if_idle(self.tenant);
    }
}

/// The right to use one of what is shared, given back when dropped.
pub struct Permit<K> {
    of: Arc<Inner<K>>,
    tenant: K,
    /// [`release`], which needs more of `K` than a `Drop` may ask for.
    release: fn(&mut Self),
}

impl<K> fmt::Debug for Permit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

fn release<K: Eq + Hash + Copy>(permit: &mut Permit<K>) {
    let left = {
        let mut state = permit.of.lock();
        state.free += 1;
        if let Some(known) = state.tenants.get_mut(&permit.tenant) {
            known.held -= 1;
        }
        let left = state.dispatch(&permit.of);
        state.forget_if_idle(permit.tenant);
        left
    };
    drop(left);
}

impl<K> Drop for Permit<K> {
    fn drop(&mut self) {
        (self.release)(self);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use super::*;

    fn of(permits: usize, share: usize, waiting: usize) -> Bulkhead<char> {
        Bulkhead::new(Division { permits, share, waiting })
    }

    /// Polls once: a permit, a refusal, or nothing yet.
    async fn now<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut future = Some(future);
        std::future::poll_fn(move |cx| {
            Poll::Ready(match future.take().map(|future| future.poll(cx)) {
                Some(Poll::Ready(outcome)) => Some(outcome),
                _ => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn nobody_holds_more_than_a_share_and_the_rest_is_there_for_others() {
        let bulkhead = of(4, 2, 8);
        let held = [bulkhead.enter('a').await.unwrap(), bulkhead.enter('a').await.unwrap()];
        let mut third = pin!(bulkhead.enter('a'));
        assert!(now(third.as_mut()).await.is_none(), "the third waits although two are free");
        assert!(bulkhead.is_at_share('a'));
        let others = [bulkhead.enter('b').await.unwrap(), bulkhead.enter('c').await.unwrap()];
        drop(others);
        assert!(now(third.as_mut()).await.is_none(), "what others gave back is not a's");
        drop(held);
        assert!(now(third.as_mut()).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn tenants_take_turns_however_many_of_one_wait() {
        let bulkhead = of(1, 1, 8);
        let first = bulkhead.enter('a').await.unwrap();
        let order = Arc::new(Mutex::new(String::new()));
        let mut tasks = Vec::new();
        for tenant in ['a', 'a', 'a', 'b', 'b', 'c'] {
            let (bulkhead, order) = (bulkhead.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _permit = bulkhead.enter(tenant).await.unwrap();
                order.lock().unwrap().push(tenant);
            }));
            tokio::task::yield_now().await;
        }
        assert_eq!(bulkhead.waiting(), 6);
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), "abcaba");
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_nothing_along() {
        let bulkhead = of(1, 1, 1);
        let held = bulkhead.enter('a').await.unwrap();
        {
            let mut gone = pin!(bulkhead.enter('a'));
            assert!(now(gone.as_mut()).await.is_none());
            assert_eq!(bulkhead.enter('a').await.unwrap_err(), QueueFull { waiting: 1 });
        }
        assert_eq!(bulkhead.waiting(), 0);
        {
            // Granted, and gone before it looked.
            let mut granted = pin!(bulkhead.enter('b'));
            assert!(now(granted.as_mut()).await.is_none());
            drop(held);
        }
        drop(bulkhead.enter('a').await.unwrap());
        assert!(bulkhead.0.lock().tenants.is_empty(), "nobody is remembered");
        assert_eq!(bulkhead.0.lock().free, 1);
    }
}
