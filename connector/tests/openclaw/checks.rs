//! What is tried, in this order.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use mock_dingtalk::{Content, Speech};

use super::lab::{Lab, kill_group};
use super::{Check, chat, figures, files, kills, pushes, setup};

/// The one after which the person may talk to the robot.
pub(super) const PAIRING: &str = "a01_a_stranger_gets_a_code_and_is_answered_when_approved";

/// A few minutes.
pub(super) const SHORT: &[(&str, Check)] = &[
    (PAIRING, chat::pairing),
    ("a02_text_and_markdown", chat::text),
    ("a03_a_picture_reaches_the_model_and_one_comes_back", chat::pictures),
    ("a04_a_file_and_a_voice_reach_the_model", chat::files),
    ("a05_commands", chat::commands),
    ("a06_a_long_answer_is_one_card", chat::streaming),
    ("a07_stop_ends_an_answer", chat::stop),
    ("a08_a_killed_connector_loses_and_repeats_nothing", kills::killed_connector),
    ("a09_message_send", pushes::send),
    ("a10_a_schedule_of_ddingtalk_asks_the_agent", pushes::schedule),
    ("a11_the_message_tool_sends_what_openclaw_lets_it", files::by_the_message_tool),
    ("a12_a_reply_keeps_its_words_without_its_file", files::in_a_reply),
    ("a13_the_plugin_without_a_gateway", files::alone),
];

/// Those that start the gateway again, or the command line often.
pub(super) const LONG: &[(&str, Check)] = &[
    ("b01_a_killed_gateway_loses_and_repeats_nothing", kills::killed_gateway),
    ("b02_two_people_have_two_sessions", chat::sessions),
    ("b03_groups_are_closed_until_they_are_listed", chat::groups),
    ("b04_a_wrong_target_and_a_file_by_message_send", pushes::send_more),
    ("b05_cron_announces", pushes::cron),
    ("b06_the_agent_makes_a_reminder", pushes::reminder),
    ("b07_an_agent_that_sends_for_ever_is_held", pushes::looping),
    ("b08_a_send_that_is_cut_off_is_made_up_for_once", kills::cut_off_sends),
    ("b09_a_question_during_an_answer_posts_nothing_empty", chat::steering),
    ("b10_rich_text_a_quote_and_video", chat::more_kinds),
    ("b11_status_and_logs_show_a_message_passing", setup::watched),
    ("b12_channels_add_asks_for_id_and_secret", setup::guided_add),
    ("b13_onboard_asks_for_id_and_secret", setup::onboard),
    ("b14_over_http_without_the_plugin", setup::over_http),
    ("b15_both_killed_lose_and_repeat_nothing", kills::killed_both),
    ("b16_from_a_package_and_a_warning_of_shared_sessions", setup::package),
    ("b17_heartbeat", pushes::heartbeat),
    ("b18_figures", figures::figures),
    ("b19_groups_with_rules_keep_them_where_all_are_open", chat::open_groups),
];

/// Installs the plugin, adds the account, and starts the gateway.
pub(super) fn installed(mut lab: Lab) -> Lab {
    let plugin = Lab::plugin();
    let (code, text) = lab.openclaw(&[
        "plugins",
        "install",
        plugin.to_str().unwrap(),
        "--force",
        "--accept-capabilities",
    ]);
    assert_eq!(code, 0, "{text}");
    let (id, secret) = (lab.app.client_id().to_owned(), lab.app.client_secret().to_owned());
    let (code, text) = lab.openclaw(&[
        "channels",
        "add",
        "--channel",
        "ddingtalk",
        "--client-id",
        &id,
        "--client-secret",
        &secret,
    ]);
    assert_eq!(code, 0, "{text}");
    lab.start();
    lab
}

pub(super) fn say(text: &str) -> Speech {
    Speech::new("user0001", Content::text(text))
}

/// Asks for a slow answer, and waits until its card shows words; gives how many messages there were before.
pub(super) fn answered_slowly(lab: &Lab) -> usize {
    lab.settled();
    let before = lab.sent().len();
    lab.runtime.block_on(lab.app.speak(&say("SLOW"))).unwrap();
    lab.until("the card shows words", || {
        lab.sent().iter().skip(before).any(|row| row.text.contains("word3"))
    });
    before
}

/// A process with all that it starts, killed when dropped.
pub(super) struct Ended(Child);

impl Ended {
    pub(super) fn spawn(command: &mut Command) -> Self {
        // A command of OpenClaw starts itself once more, in a session of its own, which outlives a kill.
        Self(command.env("OPENCLAW_NO_RESPAWN", "1").process_group(0).spawn().unwrap())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        kill_group(&mut self.0);
    }
}
