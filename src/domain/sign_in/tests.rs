use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{
    id::UserId,
    link::{LinkPlace, LinkToken, PresentedLink},
    totp,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn take(state: &mut SignIn, events: Vec<SignInEvent>, now: Timestamp, version: u64) {
    events.iter().for_each(|event| state.apply(event, now, version));
}

/// Decides a command that must be allowed, and applies its events.
fn done(state: &mut SignIn, command: SignInCommand, now: Timestamp, version: u64) {
    let events = decide(state, command).unwrap();
    take(state, events, now, version);
}

fn token(number: u32) -> LinkToken {
    LinkToken::new(LinkPlace { user: UserId(Uuid::from_u128(9)), number }, &[3; 32])
}

fn presented(number: u32) -> PresentedLink {
    PresentedLink::parse(token(number).reveal()).unwrap()
}

fn link(number: u32, purpose: LinkPurpose, expires_at: Timestamp) -> NewLink {
    let mail = Uuid::from_u128(number.into());
    NewLink { purpose, number, mail, hash: token(number).hash(), secret_version: 1, expires_at }
}

fn new_session(seed: u8, now: Timestamp) -> NewSession {
    let expires_at = now + SignedDuration::from_secs(10_000);
    NewSession {
        id: KeyId::from_random([seed; 12]),
        hash: KeyHash::of(&[seed]),
        expires_at,
        idle_s: 400,
        network: "192.0.2.1".to_owned(),
    }
}

const BOUNDS: Bounds = Bounds { sessions: 3, sessions_per_hour: 20 };

fn start(seed: u8, now: Timestamp, code: Option<&str>) -> SignInCommand {
    let code = code.map(ToOwned::to_owned);
    let session = new_session(seed, now);
    SignInCommand::StartSession { checked: "phc".to_owned(), rehashed: None, session, code, now, bounds: BOUNDS }
}

fn with_password() -> SignIn {
    SignIn { password: Some(Personal::Known("phc".to_owned())), ..SignIn::default() }
}

#[test]
fn a_link_is_used_once_and_not_after_a_newer_one_or_its_time() {
    let mut state = SignIn::default();
    let issue = |number, purpose, until| SignInCommand::IssueLinks(vec![link(number, purpose, until)]);
    let set = |number, now| SignInCommand::SetPasswordByLink { link: presented(number), phc: "p".to_owned(), now };
    done(&mut state, issue(1, LinkPurpose::Invitation, at(100)), at(0), 1);
    done(&mut state, issue(2, LinkPurpose::PasswordReset, at(100)), at(0), 2);
    assert_eq!(decide(&state, set(1, at(100))), Err(SignInRefusal::LinkOver), "expired");
    assert_eq!(decide(&state, set(3, at(1))), Err(SignInRefusal::LinkOver), "there is none");
    let claimed = SignInCommand::ClaimKey { link: presented(1), now: at(1) };
    assert_eq!(decide(&state, claimed), Err(SignInRefusal::LinkOver), "of another purpose");
    let forged = PresentedLink { hash: KeyHash::of(b"x"), ..presented(1) };
    let forged = SignInCommand::SetPasswordByLink { link: forged, phc: "p".to_owned(), now: at(1) };
    assert_eq!(decide(&state, forged), Err(SignInRefusal::LinkOver));
    done(&mut state, issue(3, LinkPurpose::PasswordReset, at(100)), at(1), 3);
    assert_eq!(decide(&state, set(2, at(2))), Err(SignInRefusal::LinkOver), "a newer one was sent");
    done(&mut state, set(3, at(2)), at(2), 4);
    assert_eq!(decide(&state, set(3, at(3))), Err(SignInRefusal::LinkOver), "used");
    assert_eq!(decide(&state, set(1, at(3))), Err(SignInRefusal::LinkOver), "a password was set by another");
    assert_eq!(state.password, Some(Personal::Known("p".to_owned())));
}

#[test]
fn so_many_resets_an_hour() {
    let mut state = SignIn::default();
    let ask = |number, now| SignInCommand::AskForReset {
        link: link(number, LinkPurpose::PasswordReset, at(9_999)),
        per_hour: Some(2),
        now,
    };
    for number in 1..=2 {
        done(&mut state, ask(number, at(0)), at(0), 1);
    }
    assert_eq!(decide(&state, ask(3, at(3_599))), Err(SignInRefusal::TooManyMails));
    assert!(decide(&state, ask(3, at(3_600))).is_ok());
}

#[test]
fn a_password_that_is_hashed_anew_is_the_same_one() {
    let mut state = with_password();
    done(&mut state, start(1, at(0), None), at(0), 1);
    let rehash = |checked: &str| SignInCommand::RehashPassword { checked: checked.to_owned(), phc: "new".to_owned() };
    assert_eq!(decide(&state, rehash("old")), Err(SignInRefusal::Credentials), "it was changed meanwhile");
    done(&mut state, rehash("phc"), at(1), 2);
    assert_eq!(state.password, Some(Personal::Known("new".to_owned())));
    assert_eq!(state.live_sessions(at(1)).len(), 1, "sessions go on");
}

#[test]
fn a_changed_password_ends_the_other_sessions() {
    let mut state = with_password();
    for seed in 1..=2 {
        done(&mut state, start(seed, at(0), None), at(0), u64::from(seed));
    }
    let id = |seed| KeyId::from_random([seed; 12]);
    let change = |checked: &str| SignInCommand::ChangePassword {
        checked: checked.to_owned(),
        phc: "new".to_owned(),
        session: id(1),
    };
    assert_eq!(decide(&state, change("old")), Err(SignInRefusal::Credentials), "it was changed meanwhile");
    done(&mut state, change("phc"), at(1), 3);
    assert!(state.sessions[&id(1)].is_live(at(2)));
    assert_eq!(state.sessions[&id(2)].ended, Some((at(1), SessionEnd::PasswordChanged)));
    assert_eq!(decide(&state, start(3, at(2), None)), Err(SignInRefusal::Credentials), "checked before the change");
}

#[test]
fn a_session_ends_when_it_is_idle_and_in_any_case_at_its_end() {
    let mut state = with_password();
    done(&mut state, start(1, at(0), None), at(0), 1);
    let id = KeyId::from_random([1; 12]);
    let see = |now| SignInCommand::SeeSession { session: id, now };
    assert!(state.sessions[&id].is_live(at(399)) && !state.sessions[&id].is_live(at(400)));
    assert_eq!(decide(&state, see(at(99))), Ok(Vec::new()), "not worth writing down");
    let mut now = 0;
    while now < 9_900 {
        now += 300;
        done(&mut state, see(at(now)), at(now), 2);
    }
    assert!(state.sessions[&id].is_live(at(9_999)) && !state.sessions[&id].is_live(at(10_000)));
    assert_eq!(decide(&state, see(at(10_000))), Ok(Vec::new()), "what is over does not begin again");
}

#[test]
fn a_code_is_taken_once_by_whichever_session_is_first() {
    let mut state = with_password();
    let secret = totp::base32(b"12345678901234567890");
    let code = |second| totp::code(b"12345678901234567890", totp::step_at(at(second))).unwrap();
    done(&mut state, start(1, at(0), None), at(0), 1);
    done(&mut state, start(2, at(0), None), at(0), 2);
    let id = KeyId::from_random([1; 12]);
    let confirm = |code: String| SignInCommand::ConfirmSecondFactor {
        code,
        recovery: vec![recovery_hash("ABCDE-FGHIJ"), recovery_hash("other")],
        now: at(30),
        session: id,
    };
    assert_eq!(decide(&state, confirm(code(30))), Err(SignInRefusal::NoFactor));
    done(&mut state, SignInCommand::BeginSecondFactor { secret }, at(0), 3);
    assert_eq!(decide(&state, confirm("000000".to_owned())), Err(SignInRefusal::WrongCode));
    done(&mut state, confirm(code(30)), at(30), 4);
    assert!(state.sessions[&id].is_live(at(31)) && state.live_sessions(at(31)).len() == 1, "the other knew no factor");

    assert_eq!(decide(&state, start(3, at(31), None)), Err(SignInRefusal::CodeWanted));
    assert_eq!(decide(&state, start(3, at(31), Some(&code(30)))), Err(SignInRefusal::Credentials), "it was used");
    let taken = decide(&state, start(3, at(60), Some(&code(60)))).unwrap();
    take(&mut state, taken, at(60), 5);
    assert_eq!(decide(&state, start(4, at(61), Some(&code(60)))), Err(SignInRefusal::Credentials), "a replay");
    assert_eq!(decide(&state, start(4, at(61), Some(&code(30)))), Err(SignInRefusal::Credentials), "an older one");

    let by_recovery = decide(&state, start(4, at(61), Some("abcde fghij"))).unwrap();
    take(&mut state, by_recovery, at(61), 6);
    assert_eq!(state.sessions[&KeyId::from_random([4; 12])].method, SignInMethod::PasswordAndRecoveryCode);
    assert_eq!(decide(&state, start(5, at(62), Some("ABCDE-FGHIJ"))), Err(SignInRefusal::Credentials), "used once");
    assert_eq!(state.second_factor.as_ref().unwrap().recovery_left(), RECOVERY_CODES - 1);

    let remove = |proof| SignInCommand::RemoveSecondFactor { proof, now: at(90) };
    assert_eq!(decide(&state, remove(FactorProof::Code(code(60)))), Err(SignInRefusal::WrongCode));
    done(&mut state, remove(FactorProof::Code(code(90))), at(90), 7);
    assert!(decide(&state, start(5, at(91), None)).is_ok());
}

proptest! {
    #[test]
    fn there_are_never_more_sessions_than_may_be(steps in prop::collection::vec((0u8..40, 0i64..300), 1..60)) {
        let (mut state, mut now) = (with_password(), 0);
        for (version, (seed, pause)) in (1..).zip(steps) {
            now += pause;
            let known = state.sessions.contains_key(&KeyId::from_random([seed; 12]));
            let before = state.live_sessions(at(now)).len();
            match decide(&state, start(seed, at(now), None)) {
                Ok(events) => {
                    prop_assert!(!known);
                    take(&mut state, events, at(now), version);
                    prop_assert!(state.sessions[&KeyId::from_random([seed; 12])].is_live(at(now)));
                    prop_assert_eq!(state.live_sessions(at(now)).len(), (before + 1).min(BOUNDS.sessions));
                }
                Err(refusal) => {
                    let expected = if known { SignInRefusal::SessionExists } else { SignInRefusal::TooManySessions };
                    prop_assert!(refusal == expected || refusal == SignInRefusal::TooManySessions);
                }
            }
            let last_hour = state.sessions.values().filter(|session| pace_counts(session.started_at, at(now))).count();
            prop_assert!(last_hour <= BOUNDS.sessions_per_hour as usize);
        }
    }
}

fn pace_counts(then: Timestamp, now: Timestamp) -> bool {
    crate::domain::pace::counts(then, now)
}
