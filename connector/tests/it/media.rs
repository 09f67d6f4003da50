//! Files: what a person sends comes back byte for byte from the echo agent.

use mock_dingtalk::{
    Action, Content, ConversationKind, Fault, Media, MsgType, Sample, SayConversation, SentRow,
    Speech, When,
};

use crate::support::{Running, World};

const DOWNLOAD: &str = "/v1.0/robot/messageFiles/download";

async fn start() -> (World, Running) {
    let world = World::new().await;
    let running = world.start_open();
    world.app.wait_connections(1).await.expect("the connector connects");
    (world, running)
}

fn group() -> SayConversation {
    SayConversation { kind: ConversationKind::Group, id: None, title: Some("Team".to_owned()) }
}

/// Bytes of a kind that nobody has seen before, so that what comes back is what was sent.
pub(crate) fn unique(sample: Sample, name: &str) -> Media {
    let mut media = sample.media();
    let mut bytes = media.bytes.to_vec();
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&rand::random::<[u8; 32]>());
    media.bytes = bytes.into();
    name.clone_into(&mut media.name);
    media
}

/// Whether a row of `sent` shows this file.
pub(crate) fn shows(world: &World, row: &SentRow, file: &Media) -> bool {
    let media = row.media.as_ref().expect("the row has a file");
    let id = media["mediaId"].as_str().expect("it was uploaded");
    let kept = world.app.inbound_media(id).unwrap().expect("it is kept");
    kept.bytes == file.bytes
}

#[tokio::test]
async fn a_picture_comes_back_as_a_picture_alone_and_in_a_group() {
    let (world, _running) = start().await;
    let (first, second) = (unique(Sample::Png, "a.png"), unique(Sample::Png, "b.png"));
    world.app.say_picture("user0001", first.clone()).await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent[0].via, sent[0].msgtype.as_str()), ("batchSend", "image"));
    assert_eq!(sent[0].to, "user0001");
    assert!(shows(&world, &sent[0], &first));
    let speech = Speech::new("user0002", Content::picture(second.clone())).conversation(group());
    let said = world.app.speak(&speech).await.unwrap();
    let sent = world.app.wait_sent(2).await.unwrap();
    assert_eq!((sent[1].via, sent[1].msgtype.as_str()), ("groupMessages", "image"));
    assert_eq!(sent[1].to, said.conversation_id);
    assert!(shows(&world, &sent[1], &second));
}

#[tokio::test]
async fn files_and_videos_come_back_as_files_and_a_voice_as_a_voice() {
    let (world, _running) = start().await;
    let file = unique(Sample::Pdf, "报告 2026.pdf");
    world.app.say_file("user0001", file.clone()).await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!(sent[0].msgtype, "file");
    assert_eq!(sent[0].media.as_ref().unwrap()["name"], "报告 2026.pdf");
    assert!(shows(&world, &sent[0], &file));
    let video = unique(Sample::Mp4, "v.mp4");
    world.app.say_video("user0001", video.clone()).await.unwrap();
    let sent = world.app.wait_sent(2).await.unwrap();
    assert!(shows(&world, &sent[1], &video));
    // A voice is its words and its recording.
    let voice = unique(Sample::Amr, "voice.amr");
    world.app.say_audio("user0001", voice.clone(), "good morning").await.unwrap();
    let sent = world.app.wait_sent(4).await.unwrap();
    assert_eq!(sent[2].text, "good morning");
    assert_eq!(sent[3].msgtype, "audio");
    let param = sent[3].raw["msgParam"].as_str().unwrap();
    assert!(param.contains(r#""duration":"4000""#), "{param}");
    assert!(shows(&world, &sent[3], &voice));
    // What cannot be played as one is a file.
    let wave = unique(Sample::Wav, "voice.wav");
    world.app.say_audio("user0001", wave.clone(), "a wave").await.unwrap();
    let sent = world.app.wait_sent(6).await.unwrap();
    assert_eq!(sent[5].msgtype, "file");
    assert!(shows(&world, &sent[5], &wave));
}

#[tokio::test]
async fn rich_text_brings_its_words_and_all_its_pictures_in_order() {
    let (world, _running) = start().await;
    let pictures: Vec<_> = (1..=9).map(|n| unique(Sample::Png, &format!("{n}.png"))).collect();
    let mut parts = vec![serde_json::json!({ "text": "see:" })];
    parts.extend(pictures.iter().map(|_| serde_json::json!({ "type": "picture" })));
    world.app.say_rich_text("user0001", parts, pictures.clone()).await.unwrap();
    let sent = world.app.wait_sent(10).await.unwrap();
    assert!(sent[0].text.starts_with("see:[picture 1][picture 2]"), "{}", sent[0].text);
    for (row, picture) in sent[1..].iter().zip(&pictures) {
        assert!(shows(&world, row, picture), "{}", picture.name);
    }
}

#[tokio::test]
async fn one_picture_that_cannot_be_had_leaves_the_others() {
    let (world, running) = start().await;
    let pictures = vec![unique(Sample::Png, "1.png"), unique(Sample::Png, "2.png")];
    // Both are asked for at once; one of the calls is refused for good.
    let gone = Action::code(400, "invalidParameter.robotCode.downloadCode", "gone");
    world.app.fault(Fault::once(When::Path(DOWNLOAD.to_owned()), gone)).unwrap();
    let parts = vec![
        serde_json::json!({ "text": "two:" }),
        serde_json::json!({ "type": "picture" }),
        serde_json::json!({ "type": "picture" }),
    ];
    world.app.say_rich_text("user0001", parts, pictures.clone()).await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    let notes: Vec<_> = sent.iter().filter(|row| row.text.contains("cannot be had")).collect();
    assert_eq!(notes.len(), 1, "{sent:?}");
    assert!(notes[0].text.contains("expired") && !notes[0].text.contains("/v1.0"), "{notes:?}");
    assert_eq!(running.lines("invalidParameter.robotCode.downloadCode").len(), 1);
    let shown: Vec<_> = sent.iter().filter(|row| row.media.is_some()).collect();
    assert_eq!(shown.len(), 1);
    assert!(shows(&world, shown[0], &pictures[0]) || shows(&world, shown[0], &pictures[1]));
}

/// Says words and two pictures, and waits for as many answers.
async fn say_two(world: &World, pictures: &[Media]) -> Vec<SentRow> {
    let picture = || serde_json::json!({ "type": "picture" });
    let parts = vec![serde_json::json!({ "text": "two:" }), picture(), picture()];
    world.app.say_rich_text("user0001", parts, pictures.to_vec()).await.unwrap();
    world.app.wait_sent(3).await.unwrap()
}

#[tokio::test]
async fn words_stand_where_a_file_cannot_be_sent_and_the_rest_follows() {
    let (world, running) = start().await;
    let pictures = vec![unique(Sample::Png, "1.png"), unique(Sample::Png, "2.png")];
    let upload = || When::Path("/media/upload".to_owned());
    let refused = Action::code(200, "40004", "bad type");
    world.app.fault(Fault::once(upload(), refused)).unwrap();
    let sent = say_two(&world, &pictures).await;
    assert!(sent[1].text.contains("DingTalk refused it"), "{sent:?}");
    assert!(!sent[1].text.contains("40004"));
    assert_eq!(running.lines("40004").len(), 1);
    assert!(shows(&world, &sent[2], &pictures[1]));
    // An upload that may have arrived is repeated, and is no second answer.
    let busy = Action::Status(503, mock_dingtalk::ErrorBody::Html);
    world.app.fault(Fault::once(upload(), busy)).unwrap();
    let file = unique(Sample::Txt, "notes.txt");
    world.app.say_file("user0001", file.clone()).await.unwrap();
    let sent = world.app.wait_sent(4).await.unwrap();
    assert!(shows(&world, &sent[3], &file));
    assert!(running.lines("may have arrived is repeated").is_empty());
}

#[tokio::test]
async fn words_stand_where_uploads_fail_for_too_long_and_the_rest_follows() {
    let (world, _running) = start().await;
    let busy = Action::Status(503, mock_dingtalk::ErrorBody::Html);
    // As often as an upload is tried.
    let upload = When::Path("/media/upload".to_owned());
    world.app.fault(Fault::first(4, upload, busy)).unwrap();
    let pictures = [unique(Sample::Png, "1.png"), unique(Sample::Png, "2.png")];
    let sent = say_two(&world, &pictures).await;
    assert!(sent[1].text.contains("DingTalk does not take it at the moment"), "{sent:?}");
    assert!(shows(&world, &sent[2], &pictures[1]));
}

#[tokio::test]
async fn a_file_is_fetched_without_headers_that_break_its_signature() {
    let (world, running) = start().await;
    // The mock's address refuses a Content-Type as a presigned one does; a first 503 passes.
    let busy = Action::Status(503, mock_dingtalk::ErrorBody::Html);
    world.app.fault(Fault::once(When::Path(DOWNLOAD.to_owned()), busy)).unwrap();
    let file = unique(Sample::Txt, "notes.txt");
    world.app.say_file("user0001", file.clone()).await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert!(shows(&world, &sent[0], &file));
    let token = world.app.journal().unwrap();
    let token = token.iter().filter(|entry| entry.text.starts_with("GET /robot-files/"));
    for entry in token {
        assert!(entry.diagnosis.is_none(), "{entry:?}");
    }
    // What was fetched is kept, readable by its owner only.
    let dir = world.dir.path().join("ddingtalk/media");
    let files: Vec<_> = std::fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    let mode = std::os::unix::fs::PermissionsExt::mode(&files[0].metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(running.lines("access_token=").is_empty(), "no token is logged");
}

#[tokio::test]
async fn an_answer_after_the_webhooks_end_reaches_the_same_group() {
    let (world, _running) = start().await;
    let gone = Action::code(200, "300001", "session 不存在");
    let path = When::Path("/robot/sendBySession".to_owned());
    world.app.fault(Fault::always(path, gone)).unwrap();
    let said = world.app.say_in_group("user0001", "Team", "still there?").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent[0].via, sent[0].text.as_str()), ("groupMessages", "still there?"));
    assert_eq!(sent[0].to, said.conversation_id);
}

#[tokio::test]
async fn what_cannot_be_read_gets_a_word_about_what_can() {
    let (world, running) = start().await;
    world.app.push_fixture("stream/callback_bot_unknown_msg_type").unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert!(sent[0].text.contains("unknownMsgType") && sent[0].text.contains("pictures"));
    // Without words there is nothing to answer; the operator is told, once.
    world.app.say_over_quota("user0001", "a").await.unwrap();
    world.app.say_over_quota("user0001", "b").await.unwrap();
    world.app.say("user0001", "words again").await.unwrap();
    let sent = world.app.wait_sent(2).await.unwrap();
    assert_eq!(sent[1].text, "words again");
    assert_eq!(running.lines("errorCode 20001").len(), 1);
}

#[tokio::test]
async fn a_file_of_a_group_that_only_the_drive_has_comes_back() {
    let (world, _running) = start().await;
    let speech = Speech::new("user0001", Content::text("first")).conversation(group());
    let chat = world.app.speak(&speech).await.unwrap().conversation_id;
    world.app.wait_sent(1).await.unwrap();
    let file = unique(Sample::Pdf, "plan.pdf");
    let kept = world.app.add_group_file(&chat, "plan.pdf", file.bytes.clone()).unwrap();
    let (space, dentry) = (&kept.space_id, &kept.dentry_id);
    let address = format!(
        "dingtalk://dingtalkclient/page/yunpan?route=previewDentry&spaceId={space}&fileId={dentry}&type=file"
    );
    let card = Content::of(MsgType::InteractiveCard).with("biz_custom_action_url", address);
    let group = SayConversation { id: Some(chat), ..group() };
    world.app.speak(&Speech::new("user0001", card).conversation(group)).await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    assert!(sent[1].text.starts_with("[file 1]"), "{}", sent[1].text);
    assert!(shows(&world, &sent[2], &file));
}

#[tokio::test]
async fn what_is_written_to_a_person_the_robot_answers_for_is_answered() {
    let world = World::new().await;
    let _running = world.start(&["--dm-policy", "open", "--delegate"]);
    world.app.wait_connections(1).await.unwrap();
    let mut speech = Speech::new("user0001", Content::text("is Ada there?"));
    speech.variants.delegate = true;
    world.app.speak(&speech).await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "is Ada there?");
}

#[tokio::test]
async fn a_file_comes_from_a_host_that_the_config_file_allows() {
    for (hosts, comes) in [(serde_json::json!([]), false), (serde_json::json!(["localhost"]), true)]
    {
        let world = World::new().await;
        let elsewhere = When::Path(DOWNLOAD.to_owned());
        world.app.fault(Fault::always(elsewhere, Action::DownloadUrl(None))).unwrap();
        let _running = world.start_configured(&serde_json::json!({
            "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(),
            "dmPolicy": "open", "allowHosts": hosts,
        }));
        world.app.wait_connections(1).await.unwrap();
        world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
        let sent = world.app.wait_sent(1).await.unwrap();
        assert_eq!(sent[0].msgtype == "image", comes, "{sent:?}");
    }
}
