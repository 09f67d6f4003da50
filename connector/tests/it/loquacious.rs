//! An agent that says more in one turn than a person may get at once.

use std::sync::{Arc, Mutex};

use dingtalk_connector::agent::{Agent, Answer, Attempt, Commands, Say, Speaker, Turn};
use tokio::sync::oneshot;

use crate::support::{PATIENCE, World};

/// What is said in one turn, and what is said to one person in a minute beyond that, as the README has it.
const AT_ONCE: usize = 20 + 20;

/// Says one thing too many, and then waits for an answer from elsewhere, such as a model's.
#[derive(Debug)]
struct Loquacious {
    question: Mutex<Option<oneshot::Sender<()>>>,
    answer: Mutex<Option<oneshot::Receiver<()>>>,
    went_on: Mutex<Option<oneshot::Sender<()>>>,
}

impl Agent for Loquacious {
    fn commands(&self) -> Commands<'_> {
        Commands::Ours(None)
    }

    fn turn(&self, _: Attempt, _: Turn, speaker: Speaker) -> Answer<'_> {
        let (question, answer) =
            (self.question.lock().unwrap().take(), self.answer.lock().unwrap().take());
        let went_on = self.went_on.lock().unwrap().take();
        Box::pin(async move {
            for n in 0..=AT_ONCE {
                speaker.say(Say::text(format!("{n}"))).await;
            }
            question.unwrap().send(()).unwrap();
            answer.unwrap().await.unwrap();
            went_on.unwrap().send(()).unwrap();
            Ok(())
        })
    }
}

#[tokio::test]
async fn an_agent_goes_on_while_what_it_said_waits() {
    let world = World::new().await;
    let ((question, asked), (answer, answered), (went_on, done)) =
        (oneshot::channel(), oneshot::channel(), oneshot::channel());
    let agent = Arc::new(Loquacious {
        question: Mutex::new(Some(question)),
        answer: Mutex::new(Some(answered)),
        went_on: Mutex::new(Some(went_on)),
    });
    let gateway = world.start_with(agent).await;
    world.app.say("user0001", "go on").await.unwrap();
    asked.await.unwrap();
    // All that need not wait has arrived: the next one waits, for most of a minute.
    world.app.wait_sent(AT_ONCE).await.unwrap();
    answer.send(()).unwrap();
    tokio::time::timeout(PATIENCE, done).await.expect("it goes on").unwrap();
    assert_eq!(world.app.sent().unwrap().len(), AT_ONCE, "what is too much still waits");
    drop(gateway);
}
