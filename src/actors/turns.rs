//! Decides whose question is next: long work is shared between people before the capacity is used up.
//!
//! Guarantees: no person has more than a share at work; a free place goes to the waiting people in turn, to each for their oldest question;
//! one person cannot fill the waiting line.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::domain::id::UserId;

/// How much work runs at the same time, and how much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Running, of all people.
    pub at_work_max: usize,
    /// Running, of one person.
    pub at_work_per_person_max: usize,
    /// Waiting, of all people.
    pub waiting_max: usize,
    /// Waiting, of one person.
    pub waiting_per_person_max: usize,
}

impl Capacity {
    /// A capacity with `per_person` places for one person; 0 means half of it. One person may have a fourth of the waiting ones.
    pub fn shared(at_work_max: usize, per_person: usize, waiting_max: usize) -> Self {
        let share = if per_person == 0 { at_work_max / 2 } else { per_person };
        Self {
            at_work_max: at_work_max.max(1),
            at_work_per_person_max: share.clamp(1, at_work_max.max(1)),
            waiting_max,
            waiting_per_person_max: waiting_max.div_ceil(4),
        }
    }
}

/// Why there is no turn: nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTurn {
    /// The person's share of running or waiting work is used up.
    #[error(
        "this is your own share: so many of your requests of this kind are being answered or wait already; wait for one of them"
    )]
    OwnShare,
    /// Other people use the whole capacity.
    #[error("too many queries are waiting for their turn: repeat this one a little later")]
    Full,
}

/// The waiting line of one kind of work.
#[derive(Debug)]
pub struct WaitingLine {
    capacity: Capacity,
    state: Mutex<LineState>,
}

#[derive(Debug, Default)]
struct LineState {
    at_work: usize,
    waiting: usize,
    tickets: u64,
    people: HashMap<UserId, PersonInLine>,
    /// The waiting people below their share at work, the next one first.
    round: VecDeque<UserId>,
}

#[derive(Debug, Default)]
struct PersonInLine {
    at_work: usize,
    waiting: VecDeque<(u64, oneshot::Sender<Turn>)>,
    is_in_round: bool,
}

/// A place at work. Dropping it passes it to the next in line.
#[derive(Debug)]
pub struct Turn {
    /// `None` once the place was passed on.
    line: Option<Arc<WaitingLine>>,
    who: UserId,
}

impl Turn {
    fn of(line: &Arc<WaitingLine>, who: UserId) -> Self {
        Self { line: Some(Arc::clone(line)), who }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.leave(self.who);
        }
    }
}

/// A waiting question. Dropping it leaves the line.
struct PlaceInLine {
    line: Arc<WaitingLine>,
    who: UserId,
    number: u64,
}

impl Drop for PlaceInLine {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        let Some(person) = state.people.get_mut(&self.who) else { return };
        let before = person.waiting.len();
        person.waiting.retain(|(number, _)| *number != self.number);
        let left = before - person.waiting.len();
        state.waiting -= left;
        state.tidy(self.who);
    }
}

impl LineState {
    /// Removes a person with nothing left in the line.
    fn tidy(&mut self, who: UserId) {
        let is_gone = |person: &PersonInLine| person.at_work == 0 && person.waiting.is_empty() && !person.is_in_round;
        if self.people.get(&who).is_some_and(is_gone) {
            self.people.remove(&who);
        }
    }

    /// Puts a person at the end of the round, if a question of theirs may run.
    fn line_up(&mut self, who: UserId, share: usize) {
        let Some(person) = self.people.get_mut(&who) else { return };
        if !person.is_in_round && !person.waiting.is_empty() && person.at_work < share {
            person.is_in_round = true;
            self.round.push_back(who);
        }
    }

    /// Takes the next question out of the line, and counts it as at work.
    fn next(&mut self, capacity: &Capacity) -> Option<(UserId, oneshot::Sender<Turn>)> {
        if self.at_work >= capacity.at_work_max {
            return None;
        }
        loop {
            let who = self.round.pop_front()?;
            let Some(person) = self.people.get_mut(&who) else { continue };
            person.is_in_round = false;
            if person.at_work < capacity.at_work_per_person_max
                && let Some((_, sender)) = person.waiting.pop_front()
            {
                person.at_work += 1;
                self.at_work += 1;
                self.waiting -= 1;
                self.line_up(who, capacity.at_work_per_person_max);
                return Some((who, sender));
            }
            self.tidy(who);
        }
    }
}

impl WaitingLine {
    /// An empty line.
    pub fn new(capacity: Capacity) -> Arc<Self> {
        Arc::new(Self { capacity, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place at once.
    ///
    /// # Errors
    /// When the person's share, or the whole capacity, is used up.
    pub fn turn_now(self: &Arc<Self>, who: UserId) -> Result<Turn, NoTurn> {
        let mut state = self.lock();
        if state.people.get(&who).is_some_and(|person| person.at_work >= self.capacity.at_work_per_person_max) {
            return Err(NoTurn::OwnShare);
        }
        if state.at_work >= self.capacity.at_work_max {
            return Err(NoTurn::Full);
        }
        state.at_work += 1;
        state.people.entry(who).or_default().at_work += 1;
        Ok(Turn::of(self, who))
    }

    /// A place as soon as it is this question's turn. A caller that stops waiting leaves the line.
    ///
    /// # Errors
    /// When the person's waiting share, or the whole waiting line, is used up.
    pub async fn turn(self: &Arc<Self>, who: UserId) -> Result<Turn, NoTurn> {
        let (_ticket, turn) = {
            let mut state = self.lock();
            let person = state.people.get(&who);
            let (at_work, own) = person.map_or((0, 0), |person| (person.at_work, person.waiting.len()));
            // A person's new question goes behind their waiting ones.
            let may_begin = own == 0 && at_work < self.capacity.at_work_per_person_max;
            if may_begin && state.at_work < self.capacity.at_work_max {
                state.at_work += 1;
                state.people.entry(who).or_default().at_work += 1;
                return Ok(Turn::of(self, who));
            }
            if own >= self.capacity.waiting_per_person_max {
                return Err(NoTurn::OwnShare);
            }
            if state.waiting >= self.capacity.waiting_max {
                return Err(if own > 0 || at_work > 0 { NoTurn::OwnShare } else { NoTurn::Full });
            }
            let (sender, turn) = oneshot::channel();
            state.tickets += 1;
            let number = state.tickets;
            state.waiting += 1;
            state.people.entry(who).or_default().waiting.push_back((number, sender));
            state.line_up(who, self.capacity.at_work_per_person_max);
            (PlaceInLine { line: Arc::clone(self), who, number }, turn)
        };
        // The line holds the sender, and lives until it is used.
        turn.await.map_err(|_| NoTurn::Full)
    }

    /// Whether the person's share at work is used up.
    pub fn is_at_share(&self, who: UserId) -> bool {
        let state = self.lock();
        state.people.get(&who).is_some_and(|person| person.at_work >= self.capacity.at_work_per_person_max)
    }

    /// Ends one piece of a person's work.
    fn leave(self: &Arc<Self>, who: UserId) {
        let mut left = Some(who);
        while let Some(who) = left.take() {
            let next = {
                let mut state = self.lock();
                state.at_work -= 1;
                if let Some(person) = state.people.get_mut(&who) {
                    person.at_work -= 1;
                }
                state.line_up(who, self.capacity.at_work_per_person_max);
                state.tidy(who);
                state.next(&self.capacity)
            };
            let Some((next, sender)) = next else { return };
            // Outside the lock, since a refused place comes back. Its drop must not pass it on, which would recurse: the loop does.
            if let Err(mut turn) = sender.send(Turn::of(self, next)) {
                turn.line = None;
                left = Some(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn person(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    /// Polls once; returns the value if it is ready.
    fn now<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T> + ?Sized>>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    fn ask(
        line: &Arc<WaitingLine>,
        who: UserId,
    ) -> std::pin::Pin<Box<impl Future<Output = Result<Turn, NoTurn>> + use<>>> {
        let line = Arc::clone(line);
        Box::pin(async move { line.turn(who).await })
    }

    #[test]
    fn who_fills_a_share_leaves_the_rest_to_others() {
        let line = WaitingLine::new(Capacity::shared(2, 0, 8));
        let (a, b) = (person(1), person(2));
        let first = now(&mut ask(&line, a)).expect("at once").unwrap();
        let mut waiting: Vec<_> = (0..2).map(|_| ask(&line, a)).collect();
        assert!(waiting.iter_mut().all(|question| now(question).is_none()), "one place is all of a share");
        assert_eq!(now(&mut ask(&line, a)).unwrap().unwrap_err(), NoTurn::OwnShare, "a fourth of the line");
        let other = now(&mut ask(&line, b)).expect("there is a place for others").unwrap();
        drop(other);
        assert!(now(&mut waiting[0]).is_none(), "what others leave is not the share's");
        drop(first);
        assert!(now(&mut waiting[0]).is_some());
    }

    #[test]
    fn a_place_goes_round_between_people() {
        let line = WaitingLine::new(Capacity { waiting_per_person_max: 8, ..Capacity::shared(1, 1, 8) });
        let (a, b, c) = (person(1), person(2), person(3));
        let mut turn = now(&mut ask(&line, a)).expect("at once").unwrap();
        let mut questions: Vec<_> = [a, a, a, b, c, b].map(|who| (who, ask(&line, who))).into();
        questions.iter_mut().for_each(|(_, question)| assert!(now(question).is_none()));
        let mut order = Vec::new();
        while !questions.is_empty() {
            drop(turn);
            let mut next = None;
            let at = questions.iter_mut().position(|(_, question)| {
                let Some(ready) = now(question) else { return false };
                next = Some(ready.unwrap());
                true
            });
            let (who, _) = questions.remove(at.expect("somebody is next"));
            order.push(who);
            turn = next.take().unwrap();
        }
        assert_eq!(order, [b, c, a, b, a, a]);
        drop(turn);
        assert!(line.lock().people.is_empty());
    }

    #[test]
    fn who_goes_leaves_the_line() {
        let line = WaitingLine::new(Capacity::shared(1, 1, 4));
        let (a, b) = (person(1), person(2));
        let turn = now(&mut ask(&line, a)).expect("at once").unwrap();
        let mut gone = ask(&line, b);
        assert!(now(&mut gone).is_none());
        drop(gone);
        assert_eq!(line.lock().waiting, 0);
        drop(turn);
        assert!(line.lock().people.is_empty() && line.lock().at_work == 0);
    }

    proptest! {
        /// In any order of events: never more at work than allowed, nobody waits beside a free place, and at the end nothing is left.
        #[test]
        fn no_place_is_lost(
            at_work in 1usize..4, share in 0usize..3,
            steps in prop::collection::vec((0u128..4, 0u8..3, 0usize..8), 1..200),
        ) {
            let capacity = Capacity { waiting_per_person_max: 4, ..Capacity::shared(at_work, share, 8) };
            let line = WaitingLine::new(capacity);
            let (mut turns, mut waiting) = (Vec::<Turn>::new(), Vec::new());
            for (who, deed, place) in steps {
                match deed {
                    0 => {
                        let mut question = ask(&line, person(who));
                        match now(&mut question) {
                            Some(Ok(turn)) => turns.push(turn),
                            Some(Err(_)) => {}
                            None => waiting.push((person(who), question)),
                        }
                    }
                    1 if place < turns.len() => drop(turns.remove(place)),
                    _ if place < waiting.len() => drop(waiting.remove(place)),
                    _ => {}
                }
                let mut still = Vec::new();
                for (who, mut question) in waiting {
                    match now(&mut question) {
                        Some(turn) => turns.push(turn.unwrap()),
                        None => still.push((who, question)),
                    }
                }
                waiting = still;
                prop_assert!(turns.len() <= capacity.at_work_max);
                prop_assert_eq!(line.lock().at_work, turns.len());
                let of = |who: UserId| turns.iter().filter(|turn| turn.who == who).count();
                for (who, _) in &waiting {
                    prop_assert!(of(*who) <= capacity.at_work_per_person_max);
                    let has_place = of(*who) < capacity.at_work_per_person_max && turns.len() < capacity.at_work_max;
                    prop_assert!(!has_place, "somebody waits beside a free place");
                }
            }
            drop(waiting);
            drop(turns);
            prop_assert!(line.lock().people.is_empty());
        }
    }
}
