//! Signing in at a provider: the person's role from now on and their session, in one commit.

use jiff::Timestamp;

use super::{
    person::User,
    refusal::{CommandRefusal, enabled},
};
use crate::domain::{
    event::{Event, Role},
    sign_in::{Bounds, NewSession, SessionEnd, start_by_provider},
};

/// The sign-in of a person whom the provider knows.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderSignIn {
    /// Their role from now on; `None` if the provider does not decide it.
    pub role: Option<Role>,
    /// The session.
    pub session: NewSession,
    /// Whether they showed a second factor at the provider that counts here.
    pub has_factor: bool,
    /// A code of their second factor here.
    pub code: Option<String>,
    /// The present moment.
    pub now: Timestamp,
    /// The limits on sessions.
    pub bounds: Bounds,
}

/// Decides the sign-in. A new role ends all earlier sessions, but not this one.
pub(super) fn decide(user: &User, of: ProviderSignIn) -> Result<Vec<Event>, CommandRefusal> {
    enabled(user)?;
    let ProviderSignIn { role, session, has_factor, code, now, bounds } = of;
    let role = role.filter(|role| *role != user.role);
    let mut sign_in = user.sign_in.clone();
    if role.is_some() {
        sign_in.end_all(now, user.version, SessionEnd::RoleChanged, None);
    }
    let started = start_by_provider(&sign_in, session, has_factor, code.as_deref(), now, bounds)?;
    let changed = role.map(|role| Event::RoleChanged { role });
    Ok(changed.into_iter().chain(started.into_iter().map(Event::SignIn)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        event::Fact,
        id::{StreamId, UserId},
        key::{KeyHash, KeyId},
        personal::Personal,
        sign_in::{SignInEvent, SignInMethod, SignInRefusal},
        totp,
        user::{Command, decide, evolve},
    };

    const BOUNDS: Bounds = Bounds { sessions: 3, sessions_per_hour: 50 };
    const SECRET: &[u8; 20] = b"12345678901234567890";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A person whose stream applies all events.
    struct OneStream(Option<User>, u64);

    impl OneStream {
        fn of(role: Role) -> Self {
            let mut stream = Self(None, 0);
            let email = Personal::Known("ana@example.org".to_owned());
            let (plan, invitation) = ("default".to_owned(), Uuid::from_u128(1));
            stream.take(&[Event::UserInvited { email, name: None, role, plan, invitation }], at(0));
            stream
        }

        fn take(&mut self, events: &[Event], recorded_at: Timestamp) {
            self.1 += 1;
            let stream = StreamId::User(UserId(Uuid::from_u128(7)));
            for event in events {
                evolve(&mut self.0, Fact { stream: &stream, version: self.1, recorded_at, event });
            }
        }

        fn user(&self) -> &User {
            self.0.as_ref().unwrap()
        }

        fn sign_in(
            &mut self,
            seed: u8,
            role: Option<Role>,
            has_factor: bool,
            code: Option<&str>,
            second: i64,
        ) -> Result<Vec<Event>, CommandRefusal> {
            let now = at(second);
            let (id, hash) = (KeyId::from_random([seed; 12]), KeyHash::of(&[seed]));
            let expires_at = at(second + 10_000);
            let session = NewSession { id, hash, expires_at, idle_s: 4000, network: "192.0.2.1".to_owned() };
            let code = code.map(ToOwned::to_owned);
            let of = ProviderSignIn { role, session, has_factor, code, now, bounds: BOUNDS };
            let events = decide(self.0.as_ref(), Command::SignInByProvider(Box::new(of)))?;
            self.take(&events, now);
            Ok(events)
        }

        fn method(&self, seed: u8) -> SignInMethod {
            self.user().sign_in.sessions[&KeyId::from_random([seed; 12])].method
        }

        fn live(&self, second: i64) -> Vec<KeyId> {
            self.user().sign_in.live_sessions(at(second)).iter().map(|session| session.id).collect()
        }
    }

    #[test]
    fn another_role_comes_with_the_session_and_ends_those_of_before() {
        let mut ana = OneStream::of(Role::Reader);
        ana.sign_in(1, None, false, None, 1).unwrap();
        assert!(!ana.user().can_administer());
        ana.sign_in(2, Some(Role::Admin), false, None, 2).unwrap();
        assert_eq!((ana.user().role, ana.live(3)), (Role::Admin, vec![KeyId::from_random([2; 12])]));
        assert!(ana.user().can_administer(), "they have no password, and can sign in");
        ana.sign_in(3, Some(Role::Admin), false, None, 4).unwrap();
        assert_eq!(ana.live(5).len(), 2, "the same role ends nothing");
        ana.sign_in(4, None, false, None, 6).unwrap();
        assert_eq!(ana.user().role, Role::Admin, "where it is not the provider's to say");
        ana.sign_in(5, Some(Role::Reader), false, None, 7).unwrap();
        assert_eq!((ana.user().role, ana.live(8)), (Role::Reader, vec![KeyId::from_random([5; 12])]));
    }

    #[test]
    fn who_is_disabled_or_deleted_does_not_come_in() {
        let mut ana = OneStream::of(Role::Reader);
        ana.take(&[Event::UserDisabled], at(1));
        assert_eq!(ana.sign_in(1, Some(Role::Admin), true, None, 2), Err(CommandRefusal::Disabled));
        ana.take(&[Event::UserDeleted], at(3));
        assert_eq!(ana.sign_in(1, Some(Role::Admin), true, None, 4), Err(CommandRefusal::Deleted));
        assert_eq!(ana.user().role, Role::Reader);
    }

    #[test]
    fn a_visit_begins_one_session() {
        let mut ana = OneStream::of(Role::Reader);
        ana.sign_in(1, None, false, None, 1).unwrap();
        let again = ana.sign_in(1, None, false, None, 2);
        assert_eq!(again, Err(SignInRefusal::SessionExists.into()));
        ana.take(
            &[Event::SignIn(SignInEvent::SessionEnded {
                session: KeyId::from_random([1; 12]),
                reason: SessionEnd::SignedOut,
            })],
            at(3),
        );
        assert_eq!(
            ana.sign_in(1, None, false, None, 4),
            Err(SignInRefusal::SessionExists.into()),
            "nor once it is over"
        );
    }

    #[test]
    fn a_code_is_wanted_unless_the_provider_has_seen_a_factor() {
        let mut ana = OneStream::of(Role::Reader);
        let begun = SignInEvent::SecondFactorBegun { secret: Personal::Known(totp::base32(SECRET)) };
        let recovery =
            Personal::Known(serde_json::to_string(&[crate::domain::sign_in::recovery_hash("SPARE")]).unwrap());
        let confirmed = SignInEvent::SecondFactorConfirmed { step: 1, recovery };
        ana.take(&[Event::SignIn(begun), Event::SignIn(confirmed)], at(0));
        let code = |second| totp::code(SECRET, totp::step_at(at(second))).unwrap();
        let wanted = ana.sign_in(1, Some(Role::Admin), false, None, 1);
        assert_eq!(wanted, Err(SignInRefusal::CodeWanted.into()));
        assert_eq!(ana.user().role, Role::Reader, "nothing is done before the code is given");
        assert_eq!(ana.sign_in(1, None, false, Some("000000"), 1), Err(SignInRefusal::Credentials.into()));
        ana.sign_in(1, None, false, Some(&code(60)), 60).unwrap();
        assert_eq!(
            ana.sign_in(2, None, false, Some(&code(60)), 61),
            Err(SignInRefusal::Credentials.into()),
            "a replay"
        );
        ana.sign_in(2, None, false, Some("spare"), 62).unwrap();
        ana.sign_in(3, None, true, None, 63).unwrap();
        use SignInMethod::{ProviderAndCode, ProviderAndItsFactor, ProviderAndRecoveryCode};
        assert_eq!(
            [1, 2, 3].map(|seed| ana.method(seed)),
            [ProviderAndCode, ProviderAndRecoveryCode, ProviderAndItsFactor]
        );
    }

    proptest! {
        #[test]
        fn the_role_is_what_the_provider_said_last_and_sessions_are_bounded(
            steps in prop::collection::vec((prop::option::of(0usize..3), 0i64..60), 1..30),
        ) {
            let (mut ana, mut role, mut now) = (OneStream::of(Role::Reader), Role::Reader, 0);
            for (seed, (said, pause)) in (1u8..).zip(steps) {
                now += pause;
                let said = said.map(|at| Role::ALL[at]);
                let changes = said.is_some_and(|said| said != role);
                role = said.unwrap_or(role);
                ana.sign_in(seed, said, false, None, now).unwrap();
                prop_assert_eq!(ana.user().role, role);
                let live = ana.live(now);
                prop_assert!(live.contains(&KeyId::from_random([seed; 12])) && live.len() <= BOUNDS.sessions);
                prop_assert!(!changes || live.len() == 1);
                prop_assert_eq!(ana.user().can_administer(), role == Role::Admin);
            }
        }
    }
}
