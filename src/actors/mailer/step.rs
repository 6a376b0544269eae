//! The command of a message's step.

use crate::{
    actors::commit::Envelope,
    domain::{
        event::Origin,
        id::{CommandId, Who},
    },
    queue::EventMessage,
};

/// The command of a message's step: the same for every delivery of the message.
pub(super) fn envelope(message: &EventMessage, step: &str) -> Envelope {
    Envelope::new(
        CommandId::from_message(message.event, step),
        Origin {
            who: Who::system("mailer"),
            correlation_id: message.correlation_id.clone(),
            causation_id: Some(message.event.to_string()),
        },
    )
}
