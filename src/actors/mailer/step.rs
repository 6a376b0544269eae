//! The command that a step of a message is.

use crate::{
    actors::commit::Envelope,
    domain::{
        event::Origin,
        id::{CommandId, Who},
    },
    queue::EventMessage,
};

/// The command that a step of a message is: the same for every delivery of it.
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
