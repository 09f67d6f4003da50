//! What is said becomes messages that DingTalk takes: none too long for any way that it may go.

use crate::agent::Say;
use crate::markdown::{self, Syntax};
use crate::protocol::RobotMessage;
use crate::protocol::reply::{MAX_MSG_PARAM, MAX_WEBHOOK_BODY};

/// Room for the number of a part in its title.
const NUMBER: &str = " (999999/999999)";

/// The parts of one thing that is said, in order; at least one.
pub(super) fn parts(say: Say) -> Vec<Say> {
    match say {
        Say::Message(message) => messages(message).into_iter().map(Say::Message).collect(),
        file => vec![file],
    }
}

fn messages(message: RobotMessage) -> Vec<RobotMessage> {
    match message {
        RobotMessage::Text(text) => {
            let parts =
                markdown::split(&text, room(&RobotMessage::Text(String::new())), Syntax::Plain);
            parts.into_iter().map(|part| RobotMessage::Text(part.text)).collect()
        }
        RobotMessage::Markdown { title, text } => {
            let title = markdown::tidy_title(&title, &text);
            let longest = format!("{title}{NUMBER}");
            let room = room(&RobotMessage::Markdown { title: longest, text: String::new() });
            let parts = markdown::split(&markdown::render(&text), room, Syntax::Markdown);
            let count = parts.len();
            let part = |(index, part): (usize, markdown::Part)| RobotMessage::Markdown {
                title: markdown::numbered(&title, index + 1, count),
                text: part.text,
            };
            parts.into_iter().enumerate().map(part).collect()
        }
        RobotMessage::ActionCard { title, text, buttons, horizontal } => {
            let title = markdown::tidy_title(&title, &text);
            let text = if text.trim().is_empty() { title.clone() } else { markdown::render(&text) };
            let card = |text| RobotMessage::ActionCard {
                title: title.clone(),
                text,
                buttons: buttons.clone(),
                horizontal,
            };
            let whole = card(text.clone());
            if whole.fits() {
                return vec![whole];
            }
            // The words first, then the buttons.
            let mut messages = messages(RobotMessage::Markdown { title: title.clone(), text });
            messages.push(card(title.clone()));
            messages
        }
        RobotMessage::Link { title, text, message_url, pic_url } => {
            let link = |title, text| {
                let (message_url, pic_url) = (message_url.clone(), pic_url.clone());
                RobotMessage::Link { title, text, message_url, pic_url }
            };
            let whole = link(title.clone(), text.clone());
            if whole.fits() {
                return vec![whole];
            }
            // The words first, then the page.
            let short = markdown::tidy_title(&title, &text);
            let mut messages = messages(RobotMessage::Text(format!("{title}\n{text}")));
            messages.push(link(short.clone(), short));
            messages
        }
        RobotMessage::Mention { message, user_ids, everybody } => {
            let mut messages = messages(*message);
            // Whoever is called finds all of it.
            if let Some(last) = messages.pop() {
                let call = |message| RobotMessage::Mention {
                    message: Box::new(message),
                    user_ids: user_ids.clone(),
                    everybody,
                };
                let called = call(last.clone());
                if called.fits() {
                    messages.push(called);
                } else {
                    messages.push(last);
                    // The robot API wants some words, too.
                    messages.push(call(RobotMessage::Text("↑".to_owned())));
                }
            }
            messages
        }
        other => vec![other],
    }
}

/// Bytes that are left beside an empty message, whichever way it goes.
fn room(empty: &RobotMessage) -> usize {
    let body = empty.webhook_body().map_or(0, |body| body.to_string().len());
    let param = MAX_MSG_PARAM.saturating_sub(empty.msg_param().len());
    param.min(MAX_WEBHOOK_BODY.saturating_sub(body))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::reply::CardButton;

    fn words(messages: &[RobotMessage]) -> String {
        messages.iter().map(RobotMessage::words).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn every_part_is_within_the_limits_of_both_ways(
            piece in "[ -~]{1,9}|[你好\n\"]{1,9}|\u{1}|`{3}\n",
            times in 1..8_000_usize,
            title in "\\PC{0,60}",
            mentions in 0..3_usize,
        ) {
            let text = piece.repeat(times);
            let people = vec!["user0001".to_owned(); mentions];
            for message in [
                RobotMessage::Text(text.clone()),
                RobotMessage::Markdown { title: title.clone(), text: text.clone() },
                RobotMessage::ActionCard {
                    title: title.clone(),
                    text: text.clone(),
                    buttons: vec![CardButton { title: "B".to_owned(), url: "https://b".to_owned() }],
                    horizontal: false,
                },
                RobotMessage::Link {
                    title: title.clone(),
                    text: text.clone(),
                    message_url: "https://l".to_owned(),
                    pic_url: String::new(),
                },
            ] {
                let parts = messages(RobotMessage::Mention {
                    message: Box::new(message),
                    user_ids: people.clone(),
                    everybody: false,
                });
                for part in &parts {
                    prop_assert!(part.fits(), "{} bytes", part.msg_param().len());
                }
                let letters = |text: &str| text.matches(char::is_alphanumeric).count();
                prop_assert!(letters(&words(&parts)) >= letters(&text));
            }
        }
    }

    #[test]
    fn a_markdown_answer_gets_a_title_and_numbers() {
        let parts = messages(RobotMessage::Markdown {
            title: String::new(),
            text: format!("# Report\n\n{}", "word ".repeat(5_000)),
        });
        let titles: Vec<_> = parts
            .iter()
            .map(|part| match part {
                RobotMessage::Markdown { title, .. } => title.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(titles, ["Report (1/2)", "Report (2/2)"]);
    }

    #[test]
    fn only_the_last_part_calls_people() {
        let parts = messages(RobotMessage::Mention {
            message: Box::new(RobotMessage::Text("x".repeat(20_000))),
            user_ids: vec!["user0001".to_owned()],
            everybody: false,
        });
        assert!(matches!(parts[..], [RobotMessage::Text(_), RobotMessage::Mention { .. }]));
    }
}
