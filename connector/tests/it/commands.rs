//! Commands, for agents that have none of their own.

use crate::model::{Model, Reply};
use crate::support::{Running, World};

/// One person who talks with the robot, message by message.
struct Chat {
    // Dropped before its directory.
    running: Running,
    model: Model,
    world: World,
    answered: usize,
}

/// An answer that goes on for a moment would become a card, which is one more message and stands where it began:
/// whether it does depends on the machine. Cards have tests of their own.
const NO_CARDS: &[&str] = &["--cards", "off"];

impl Chat {
    async fn new() -> Self {
        let (world, model) = (World::new().await, Model::start().await);
        let running = model.start_gateway(&world, NO_CARDS).await;
        Self { world, model, running, answered: 0 }
    }

    /// Starts the program again, after its end.
    async fn start_again(&mut self) {
        self.world.wait_disconnected().await;
        self.running = self.model.start_gateway(&self.world, NO_CARDS).await;
    }

    /// Says it, and waits for the answer.
    async fn say(&mut self, text: &str) -> String {
        self.world.app.say("user0001", text).await.unwrap();
        self.answer().await
    }

    /// The next answer.
    async fn answer(&mut self) -> String {
        self.answered += 1;
        let sent = self.world.app.wait_sent(self.answered).await.unwrap();
        sent[self.answered - 1].text.clone()
    }

    /// What the model was asked last.
    fn asked(&self) -> String {
        self.model.asked().last().unwrap().talk()
    }
}

#[tokio::test]
async fn new_and_reset_really_forget() {
    let mut chat = Chat::new().await;
    for (command, answer) in [("/new", "New session started."), (" /RESET ", "Session reset.")] {
        chat.say("remember 4711").await;
        chat.say("well?").await;
        assert!(chat.asked().contains("4711"));
        assert!(chat.say(command).await.ends_with(answer));
        chat.say("what was it?").await;
        assert_eq!(chat.asked(), "u:what was it?");
    }
}

#[tokio::test]
async fn models_are_listed_chosen_and_kept_over_a_restart() {
    let mut chat = Chat::new().await;
    let listed = chat.say("/models").await;
    for line in ["models (3)", "- small ✓\n", "- Large-2\n", "- tiny\n"] {
        assert!(listed.contains(line), "{listed}");
    }
    assert!(chat.say("/model").await.contains("small"));
    let unknown = chat.say("/model huge").await;
    assert!(unknown.contains("There is no model \"huge\""), "{unknown}");
    let some = chat.say("/models LARGE").await;
    assert!(some.contains("models (1)") && some.contains("- Large-2\n"), "{some}");
    assert!(chat.say("/models huge").await.contains("No model has \"huge\""));
    assert!(chat.say("/model large-2").await.contains("Model of this session: Large-2."));
    chat.say("/think high").await;
    chat.say("/new").await;
    chat.running.terminate();
    assert_eq!(chat.running.ended().await.code(), Some(0));
    chat.start_again().await;
    chat.say("hello").await;
    let asked = chat.model.asked().pop().unwrap().body;
    assert_eq!((&asked["model"], &asked["reasoning_effort"]), (&"Large-2".into(), &"high".into()));
    // Somebody else's session is another one.
    chat.world.app.say("user0002", "hello").await.unwrap();
    chat.answer().await;
    let asked = chat.model.asked().pop().unwrap().body;
    assert_eq!((&asked["model"], asked.get("reasoning_effort")), (&"small".into(), None));
    chat.model.hide_models();
    assert!(chat.say("/model anything").await.contains("unchecked"));
    let long = chat.say(&format!("/model {}", "x".repeat(5_000))).await;
    assert!(long.contains("There is no model") && long.len() < 400, "{long}");
    assert!(chat.say("/models").await.contains("The command failed"));
    assert!(chat.say("/model default").await.contains("session: small."));
    chat.say("hello").await;
    assert_eq!(chat.model.asked().pop().unwrap().body["model"], "small");
}

#[tokio::test]
async fn compact_really_shortens_the_history() {
    let mut chat = Chat::new().await;
    chat.say("hello").await;
    assert!(chat.say("/compact").await.contains("skipped"));
    let long = "x".repeat(3_000);
    for n in 0..4 {
        chat.say(&format!("{n} {long}")).await;
    }
    let before = chat.asked().len();
    chat.model.words(&["we ", "spoke of x"]);
    let answer = chat.say("/compact the numbers").await;
    assert!(answer.contains("Session compacted: "), "{answer}");
    assert!(chat.asked().contains("What matters: the numbers"), "{}", chat.asked());
    chat.say("and?").await;
    let asked = chat.asked();
    assert!(asked.len() < before * 2 / 3, "{} of {before}", asked.len());
    assert!(asked.starts_with("s:Summary of the conversation so far:\nwe spoke of x u:2 "));
    assert!(asked.ends_with("u:and?") && !asked.contains("hello"));
    assert!(chat.say("/status").await.contains("with summary"));
    // Six answers and a summary, which cost tokens, too.
    assert!(chat.say("/usage").await.starts_with("令牌 tokens: ↑70 ↓21\n"));
    // A summary that is longer than what it stands for changes nothing.
    chat.model.words(&[&"y".repeat(20_000)]);
    assert!(chat.say("/compact").await.contains("nothing was changed"));
    assert!(chat.say("/用量").await.starts_with("令牌 tokens: ↑80 ↓24\n"));
    chat.say("still?").await;
    assert!(chat.asked().contains("we spoke of x"));
    // A model that fails changes nothing either.
    chat.model.next(Reply::Refuse(500, None, String::new()));
    assert!(chat.say("/compact").await.contains("The command failed"));
}

#[tokio::test]
async fn stop_ends_the_answer_and_empties_the_queue() {
    let mut chat = Chat::new().await;
    chat.say("before").await;
    chat.model.hold(&["half"]);
    chat.world.app.say("user0001", "long").await.unwrap();
    chat.model.wait_asked(2).await;
    chat.world.app.say("user0001", "waits").await.unwrap();
    chat.world.app.wait_acked(3).await.unwrap();
    let stopped = chat.say("/stop").await;
    assert!(stopped.ends_with("Stopped (2 messages)."), "{stopped}");
    chat.model.wait_left(1).await;
    assert!(chat.say("/stop").await.ends_with("Nothing to stop."));
    // A restart resumes nothing of it.
    chat.running.terminate();
    assert_eq!(chat.running.ended().await.code(), Some(0));
    chat.world.wait_disconnected().await;
    let file = chat.world.dir.path().join("ddingtalk/ddingtalk.sqlite3");
    let reasons: String = rusqlite::Connection::open(file)
        .unwrap()
        .query_row("SELECT group_concat(failure) FROM inbox", (), |row| row.get(0))
        .unwrap();
    assert_eq!(reasons, "stopped by /stop,stopped by /stop");
    chat.start_again().await;
    assert_eq!(chat.say("after").await, "answer 3");
    assert_eq!(chat.asked(), "u:before a:answer 1 u:after");
    assert!(!chat.running.log().contains("an earlier process left"));
}

#[tokio::test]
async fn what_only_tells_something_waits_for_no_turn_and_what_changes_the_session_does() {
    let mut chat = Chat::new().await;
    chat.say("before").await;
    chat.model.hold(&["half"]);
    chat.world.app.say("user0001", "long").await.unwrap();
    chat.model.wait_asked(2).await;
    chat.world.app.say("user0001", "waits").await.unwrap();
    for text in ["/new", "/status", "/whoami", "/help", "/commands", "／状态 \n"] {
        chat.world.app.say("user0001", text).await.unwrap();
    }
    for part in ["history: 1 ", "ID: user0001", "All commands", "/compact [", "history: 1 "] {
        let answer = chat.answer().await;
        assert!(answer.contains(part), "{answer}");
    }
    assert!(chat.say("/stop").await.ends_with("Stopped (2 messages)."));
    assert!(chat.answer().await.ends_with("New session started."), "it waited");
    chat.say("after").await;
    assert_eq!(chat.asked(), "u:after");
}

#[tokio::test]
async fn whoami_shows_ids_as_rules_and_pushes_take_them() {
    let mut chat = Chat::new().await;
    chat.world.app.say("Manager_X", "/whoami").await.unwrap();
    let alone = chat.answer().await;
    for line in ["ID: Manager_X", "allowFrom: user:Manager_X", "push target: user:Manager_X"] {
        assert!(alone.contains(line), "{alone}");
    }
    chat.world.app.say_in_group("Manager_X", "Team", "/id").await.unwrap();
    let group = chat.answer().await;
    let sent = chat.world.app.wait_sent(2).await.unwrap();
    let target = format!("this group: chat:{}", sent[1].conversation_id);
    assert!(group.contains(&target), "{group} has no {target}");
}

#[tokio::test]
async fn stop_in_a_group_works_behind_a_mention_and_leaves_other_chats_alone() {
    let mut chat = Chat::new().await;
    chat.model.hold(&["half"]);
    chat.world.app.say_in_group("user0001", "Team", "long").await.unwrap();
    chat.model.wait_asked(1).await;
    chat.model.hold(&["another half"]);
    chat.world.app.say("user0001", "alone").await.unwrap();
    chat.model.wait_asked(2).await;
    chat.world.app.say_in_group("user0002", "Team", "@robot /stop").await.unwrap();
    assert!(chat.answer().await.ends_with("Stopped."));
    chat.model.wait_left(1).await;
    assert!(chat.say("/stop").await.ends_with("Stopped."), "that of the direct chat");
    chat.model.wait_left(2).await;
}

#[tokio::test]
async fn a_stop_that_was_not_carried_out_stops_after_a_restart() {
    let mut chat = Chat::new().await;
    chat.model.hold(&["half"]);
    chat.world.app.say("user0001", "long").await.unwrap();
    chat.model.wait_asked(1).await;
    let webhook = mock_dingtalk::When::Path("/robot/sendBySession".to_owned());
    let hang = mock_dingtalk::Fault::always(webhook, mock_dingtalk::Action::Hang);
    chat.world.app.fault(hang).unwrap();
    chat.world.app.say("user0001", "/stop").await.unwrap();
    chat.world.app.wait_acked(2).await.unwrap();
    chat.model.wait_left(1).await;
    chat.world.app.clear_faults().unwrap();
    chat.running.kill_now();
    chat.start_again().await;
    assert!(chat.answer().await.contains("top"));
    assert_eq!(chat.say("after").await, "answer 2");
    assert_eq!(chat.asked(), "u:after");
}

#[tokio::test]
async fn other_commands_answer_and_other_words_go_to_the_model() {
    let mut chat = Chat::new().await;
    assert!(chat.say("/help").await.contains("/commands"));
    let all = chat.say("/commands").await;
    assert_eq!(all.lines().count(), 12);
    assert!(all.contains("/whoami (/id, /我是谁)") && all.contains("/think [off|"), "{all}");
    assert!(chat.say("/id").await.starts_with("ID: user0001\n"));
    assert!(chat.say("/think: loud").await.contains("it takes off, minimal, low, medium"));
    assert!(chat.say("/think").await.contains("Thinking: off."));
    assert!(chat.say("/new please").await.contains("takes nothing behind it"));
    assert!(chat.say("/usage tokens").await.contains("Usage below answers: tokens."));
    assert!(chat.model.asked().is_empty(), "no model was needed");
    assert_eq!(chat.say("/unknowncmd abc").await, "answer 1\n\n---\n↑10 ↓3 tokens");
    assert_eq!(chat.asked(), "u:/unknowncmd abc");
    assert!(chat.say("/usage").await.starts_with("令牌 tokens: ↑10 ↓3"));
    let status = chat.say("/status").await;
    for part in ["model: small @ 127.0.0.1", "history: 1 ", "↑10 ↓3"] {
        assert!(status.contains(part), "{status}");
    }
}

#[tokio::test]
async fn a_stranger_commands_nothing() {
    let (world, model) = (World::new().await, Model::start().await);
    let mut command = world.command(&["--agent", "openai", "--dm-policy", "allowlist"]);
    command.env("OPENAI_BASE_URL", model.url()).env("OPENAI_MODEL", "small");
    let running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    for text in ["/status", "/stop", "/models"] {
        world.app.say("user0001", text).await.unwrap();
    }
    running.wait_log("decision=\"refuse\"", 3).await;
    assert!(world.app.sent().unwrap().is_empty());
}

#[tokio::test]
async fn the_echo_agent_says_what_it_has_not() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    for (text, part) in [
        ("/new", "neither sessions nor models, so /new does nothing"),
        ("/status", "ddingtalk 0."),
        ("/help", "/commands"),
        ("/hello", "/hello"),
    ] {
        let before = world.app.sent().unwrap().len();
        world.app.say("user0001", text).await.unwrap();
        let sent = world.app.wait_sent(before + 1).await.unwrap();
        assert!(sent[before].text.contains(part), "{:?}", sent[before]);
    }
}
