//! Presses on cards, custom robots, files of groups, strictness.

use bytes::Bytes;

use super::App;
use crate::{
    core::{BaseUrl, CardPress, CustomRobotOptions, CustomRobotRow, GroupFile, Media, Said},
    error::MockError,
};

impl App {
    /// A person presses a button of a card: a CALLBACK of topic `/v1.0/card/instances/callback`,
    /// to be answered within 2 s. What the answer says changes the card.
    #[expect(clippy::unused_async, reason = "verbs of people are awaited, as over HTTP")]
    pub async fn press(&self, press: &CardPress) -> Result<Said, MockError> {
        self.act(|app, cx| app.press_card(cx, press))
    }

    /// Puts a custom robot into a group; its webhook is `POST /robot/send?access_token=`.
    pub fn custom_robot(&self, options: &CustomRobotOptions) -> Result<CustomRobotRow, MockError> {
        let base = self.base();
        self.act(|app, cx| app.add_custom_robot(cx, options, &base))
    }

    /// The custom robots, in the order of minting.
    pub fn custom_robots(&self) -> Result<Vec<CustomRobotRow>, MockError> {
        self.look(|app| app.custom_robot_rows(&self.base()))
    }

    /// A person puts a file into a group, without a word to the robot: `convFile` and `storage`
    /// find it there.
    pub fn add_group_file(
        &self,
        conversation_id: &str,
        name: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<GroupFile, MockError> {
        let file = Media::new(name, "", bytes);
        self.act(|app, cx| app.add_group_file(cx, conversation_id, file))
    }

    /// Whether what only the mock's own strictness refuses is taken, with a remark.
    pub fn is_lenient(&self) -> Result<bool, MockError> {
        self.look(|app| app.api.lenient)
    }

    /// Changes how strictly the app's calls are read, from now on.
    pub fn set_lenient(&self, lenient: bool) -> Result<(), MockError> {
        self.act(|app, _| {
            app.api.lenient = lenient;
            Ok(())
        })
    }

    fn base(&self) -> BaseUrl {
        BaseUrl::plain(&self.hub.settings.reachable().to_string())
    }
}
