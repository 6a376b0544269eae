//! The path of SES's reports on mails: a topic and a queue.

use serde_json::json;

/// The topic and the queue of SES's reports on mails, by their names in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedbackPlace {
    /// The queue's ARN.
    pub queue: String,
    /// The topic's ARN, in the same region and account.
    pub topic: String,
}

impl FeedbackPlace {
    /// The place with the queue of this ARN.
    pub fn of(queue: &str, prefix: &str) -> Option<Self> {
        let mut parts: Vec<&str> = queue.split(':').collect();
        let name = format!("{prefix}-mail-feedback");
        *parts.get_mut(2)? = "sns";
        *parts.get_mut(5)? = &name;
        Some(Self { queue: queue.to_owned(), topic: parts.join(":") })
    }

    /// Partition, region and account.
    pub fn parts(&self) -> (&str, &str, &str) {
        let mut parts = self.queue.split(':').skip(1);
        let mut next = |skipped| parts.nth(skipped).unwrap_or_default();
        (next(0), next(1), next(0))
    }

    /// The queue's name.
    pub fn queue_name(&self) -> &str {
        self.queue.rsplit(':').next().unwrap_or_default()
    }

    /// The queue's policy: only the topic may send.
    pub fn queue_policy(&self) -> String {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "Feedback",
                "Effect": "Allow",
                "Principal": { "Service": "sns.amazonaws.com" },
                "Action": "sqs:SendMessage",
                "Resource": self.queue,
                "Condition": { "ArnEquals": { "aws:SourceArn": self.topic } }
            }]
        });
        policy.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_where_its_queue_is() {
        let place = FeedbackPlace::of("arn:aws-cn:sqs:cn-north-1:123456789012:told", "p").unwrap();
        assert_eq!(place.topic, "arn:aws-cn:sns:cn-north-1:123456789012:p-mail-feedback");
        assert_eq!((place.parts(), place.queue_name()), (("aws-cn", "cn-north-1", "123456789012"), "told"));
        assert!(FeedbackPlace::of("no arn", "p").is_none());
    }
}
