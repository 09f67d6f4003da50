//! The bot as a process, against a mock in this one.

use std::process::{Child, Command};

use mock_dingtalk::{App, MockDingtalk, Severity};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A bot, killed when the test is over.
struct Bot(Child);

impl Bot {
    async fn start(app: &App) -> Result<Self, Box<dyn std::error::Error>> {
        let bot = Command::new(env!("CARGO_BIN_EXE_dingtalk-raw-bot")).envs(app.env()?).spawn()?;
        let bot = Self(bot);
        app.wait_connections(1).await?;
        Ok(bot)
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_the_same_words() -> Outcome {
    let mock = MockDingtalk::start().await?;
    let app = mock.app();
    let _bot = Bot::start(&app).await?;
    app.say("user0001", "hello").await?;
    let sent = app.wait_sent(1).await?;
    assert_eq!(sent[0].text, "hello");
    // What works here and goes wrong with DingTalk: late acks, double answers, …
    app.expect_no_findings(Severity::Warning)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_when_the_gateway_moves_it() -> Outcome {
    let mock = MockDingtalk::start().await?;
    let app = mock.app();
    let _bot = Bot::start(&app).await?;
    app.disconnect("all", "persistent connection is timeout")?;
    app.wait_connections(1).await?;
    app.say("user0001", "still there?").await?;
    let sent = app.wait_sent(1).await?;
    assert_eq!(sent[0].text, "still there?");
    Ok(())
}
