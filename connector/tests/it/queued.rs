//! People hear that their message waits behind others of its chat, once.

use crate::model::Model;
use crate::support::World;

#[tokio::test]
async fn who_waits_behind_an_answer_that_takes_its_time_is_told_so_once() {
    let (world, model) = (World::new().await, Model::start().await);
    let _running =
        model.start_gateway(&world, &["--cards", "off", "--queued-after", "600ms"]).await;
    let (first, other) = (model.lead(), model.lead());
    for text in ["one", "two", "three"] {
        world.app.say("user0001", text).await.unwrap();
    }
    let notice = world.app.wait_sent(1).await.unwrap().remove(0);
    insta::assert_snapshot!(notice.text, @r"
    排队中：前面还有 1 条消息，轮到后会回复。
    Queued: 1 before yours; the answer comes when it is its turn.
    ");
    assert_eq!((notice.via, notice.to.as_str()), ("sessionWebhook", "user0001"));
    // By now the third one has waited as long, and was not told of: this one came after it.
    model.wait_asked(1).await;
    world.app.say_in_group("user0002", "Team", "a").await.unwrap();
    model.wait_asked(2).await;
    world.app.say_in_group("user0003", "Team", "b").await.unwrap();
    let notice = world.app.wait_sent(2).await.unwrap().remove(1);
    assert!(notice.text.starts_with("排队中：前面还有 1 条消息"), "{}", notice.text);
    assert_eq!(notice.raw["at"]["atUserIds"][0], "user0003", "{}", notice.raw);
    other.words("to a");
    other.end();
    first.words("to one");
    first.end();
    let sent = world.app.wait_sent(7).await.unwrap();
    let texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    let count = |part: &str| texts.iter().filter(|text| text.starts_with(part)).count();
    assert_eq!((texts.len(), count("排队中"), count("answer ")), (7, 2, 3), "{texts:?}");
    assert_eq!((count("to one"), count("to a")), (1, 1), "{texts:?}");
}
