//! Mail through SES while it misbehaves: what is throttled is tried again, and no message is lost.

use std::{sync::Arc, time::Duration};

use permitd::{
    actors::mailer::{LinkPolicy, Mailers, Offer, Offering},
    aws::SetupAction,
    mail::{Sender, SesMailer, ses},
};
use serde_json::{Value, json};

use crate::{
    faults::key_in,
    support::{
        emulator,
        proxy::{On, Refusal, Trouble},
    },
    world::World,
};

/// A world whose mailers send through SES, and an address that no other test has.
struct Post {
    world: World,
    mailers: Mailers,
    address: String,
}

impl Post {
    async fn new() -> Self {
        let world = World::behind_a_proxy().await;
        let access = world.place.access().await.expect("access to AWS");
        let domain = format!("{}.example", emulator::prefix());
        let sender = Sender::parse(&format!("permits@{domain}"), "").unwrap();
        ses::setup(&access, &sender, "", SetupAction::Make).await.unwrap();
        let mailer = SesMailer::new(&access, sender, world.clock.shared(), "").with_backoff(Duration::from_millis(1));
        let offer = || Offer {
            brand: "permitd".to_owned(),
            public_url: "http://127.0.0.1".to_owned(),
            contact: None,
            datasets: Vec::new(),
            links: LinkPolicy::keys_alone(),
        };
        let (committer, visibility) = (Arc::clone(&world.committer), Duration::from_secs(30));
        let mailers = Mailers::start(
            committer,
            Arc::new(mailer),
            Offering::new(offer),
            visibility,
            Duration::from_secs(1800),
            true,
            2,
            None,
            16,
        );
        Self { world, mailers, address: format!("ana@{domain}") }
    }

    /// Lets time pass until the mailers have nothing left that is not dead.
    async fn settle(&self) {
        for _ in 0..20 {
            self.mailers.drain().await.unwrap();
            self.world.advance(Duration::from_secs(301));
            let depth = self.world.committer.queue.depth().await.unwrap();
            if depth.visible + depth.in_flight == 0 {
                return;
            }
        }
        panic!("messages are still waiting");
    }

    /// The keys in the mails that SES has taken.
    async fn keys(&self) -> Vec<String> {
        let access = self.world.place.access().await.expect("access to AWS");
        let url = format!("{}/_ministack/ses/messages", access.endpoints().ses.as_ref().unwrap());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer: Value = client.get(url).send().await.unwrap().json().await.unwrap();
        let mails = answer["messages"].as_object().unwrap().values().flat_map(|mails| mails.as_array().unwrap());
        let mails = mails.filter(|mail| mail["To"] == json!([self.address]));
        mails.map(|mail| key_in(mail["BodyText"].as_str().unwrap())).collect()
    }
}

fn mails() -> On {
    On::operation("SendEmail")
}

#[actix_web::test]
async fn row_13_ses_takes_the_mail_and_the_answer_is_lost() {
    let post = Post::new().await;
    post.world.proxy().add(mails(), Trouble::LoseAnswer);
    let user = post.world.invite(&post.address).await;
    post.settle().await;
    let mut keys = post.keys().await;
    assert_eq!(keys.len(), 2, "the one unavoidable duplicate");
    keys.dedup();
    assert_eq!(keys.len(), 1, "the same key in both");
    assert_eq!(post.world.request(&keys[0]).await, 200);
    assert_eq!(post.world.count(user, "ApiKeyMailed").await, 1);
    post.world.verify().await;
}

#[actix_web::test]
async fn a_mail_that_ses_does_not_take_now_is_sent_later() {
    for refusal in [Refusal::Throttled, Refusal::OverLimit, Refusal::Internal, Refusal::Unavailable] {
        let post = Post::new().await;
        post.world.proxy().add_many(&mails(), 100, || Trouble::Refuse(refusal));
        let user = post.world.invite(&post.address).await;
        assert_eq!(post.mailers.drain().await.unwrap(), 1, "{refusal:?}");
        let counts = post.mailers.counts();
        let told = (counts.put_off, counts.failed, counts.mails_sent, counts.mails_rejected);
        assert_eq!(told, (1, 0, 0, 0), "{refusal:?}");
        let tries = 100 - post.world.proxy().left();
        assert!((1..=10).contains(&tries), "{refusal:?}: {tries} tries before the queue waits");
        post.world.proxy().clear();
        post.settle().await;
        let keys = post.keys().await;
        assert_eq!(keys.len(), 1, "{refusal:?}");
        assert_eq!(post.world.request(&keys[0]).await, 200);
        assert_eq!(post.world.load(user).await.mail_failure, None, "{refusal:?}: it was nobody's fault");
    }
}
