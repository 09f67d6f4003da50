//! Frames that faults lose, keep back, or send in another order.

use std::time::Duration;

use mock_dingtalk::{Action, App, Fault, FrameSelector, MockDingtalk, When};

use crate::support::{Bot, data, ticket};

fn messages() -> When {
    When::Frame(FrameSelector::messages())
}

async fn started() -> (MockDingtalk, App) {
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let app = mock.app();
    (mock, app)
}

async fn text(bot: &mut Bot) -> String {
    data(&bot.frame().await)["text"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_ping_is_not_the_first_push_that_is_lost() {
    let (mock, app) = started().await;
    app.fault(Fault::once(When::Connected, Action::LoseFirst)).unwrap();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    mock.clock().advance(Duration::from_secs(30));
    let ping = bot.frame().await;
    assert_eq!(ping["headers"]["topic"], "ping");
    bot.ack(&ping).await;
    app.say("user0001", "lost").await.unwrap();
    app.say("user0001", "comes").await.unwrap();
    assert_eq!(text(&mut bot).await, "comes");
}

#[tokio::test]
async fn with_every_frame_out_of_order_all_of_them_come() {
    let (mock, app) = started().await;
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.fault(Fault::always(messages(), Action::Reorder)).unwrap();
    for n in 1..=4 {
        app.say("user0001", &format!("{n}")).await.unwrap();
    }
    for expected in ["2", "1", "4", "3"] {
        assert_eq!(text(&mut bot).await, expected);
    }
}

#[tokio::test]
async fn what_was_kept_back_for_a_connection_goes_with_it() {
    let (mock, app) = started().await;
    let late = Action::Late(Duration::from_secs(10));
    app.fault(Fault::always(messages(), late)).unwrap();
    let (endpoint, first) = ticket(&mock, &app).await;
    let mut bot = Bot::redeem(&endpoint, &first).await.unwrap();
    app.wait_connections(1).await.unwrap();
    // As many as are kept back at a time.
    for _ in 0..1_000 {
        app.say("user0001", "for the first one").await.unwrap();
    }
    bot.socket.close(None).await.unwrap();
    app.wait_for_connections("the end", |rows| rows[0].closed_at.map(|_| ())).await.unwrap();
    let mut bot = Bot::connect(&mock, &app).await;
    app.wait_connections(1).await.unwrap();
    app.say("user0001", "late").await.unwrap();
    app.clear_faults().unwrap();
    app.say("user0001", "at once").await.unwrap();
    assert_eq!(text(&mut bot).await, "at once");
    mock.clock().advance(Duration::from_secs(10));
    assert_eq!(text(&mut bot).await, "late");
}
