//! What an app's HTTP APIs remember, and who belongs to it.

use super::App;
use crate::{
    core::{
        AddedFile, ApiLimits, Conversation, DeliveryRules, Media, Outgoing, Permission,
        PermissionRow, Person, ReactionRow, Said, VerbError,
    },
    error::MockError,
};

impl App {
    /// Everybody the app knows, by user id.
    pub fn people(&self) -> Result<Vec<Person>, MockError> {
        self.look(|app| app.people.all().cloned().collect())
    }

    /// The chats that the robot is in, by id.
    pub fn conversations(&self) -> Result<Vec<Conversation>, MockError> {
        self.look(|app| app.conversations.all().cloned().collect())
    }

    /// The robot's reactions that stand, oldest first.
    pub fn reactions(&self) -> Result<Vec<ReactionRow>, MockError> {
        self.look(|app| app.api.reactions.rows())
    }

    /// A person's file, without a message that carries it: a name of 1 to 255 bytes, at most
    /// 20 MiB.
    pub fn add_file(&self, file: Media) -> Result<AddedFile, MockError> {
        self.act(|app, cx| app.add_file(cx, file))
    }

    /// A person reads a message of the robot, as `readStatus` and `query` then tell. The event of
    /// it is [`App::robot_msg_read`].
    pub fn read(&self, user: &str, process_query_key: &str) -> Result<(), MockError> {
        self.act(|app, cx| app.read_by(cx, user, process_query_key))
    }

    /// How often the app may call.
    pub fn limits(&self) -> Result<ApiLimits, MockError> {
        self.look(crate::core::App::api_limits)
    }

    /// Changes how often the app may call; what is counted stays.
    pub fn set_limits(&self, limits: ApiLimits) -> Result<(), MockError> {
        self.act(|app, _| app.set_api_limits(limits))
    }

    /// Counted calls of the calendar month.
    pub fn calls_this_month(&self) -> Result<u64, MockError> {
        self.act(|app, cx| Ok(app.api.limits.used(cx.now)))
    }

    /// Counted messages of people of the calendar month.
    pub fn messages_this_month(&self) -> Result<u64, MockError> {
        self.act(|app, cx| Ok(app.api.limits.messages(cx.now)))
    }

    /// Which permissions the app has, and which it lacks.
    pub fn permissions(&self) -> Result<PermissionRow, MockError> {
        self.look(|app| app.api.permissions.row())
    }

    /// Gives the app permissions.
    pub fn grant(&self, permissions: &[Permission]) -> Result<(), MockError> {
        self.act(|app, _| {
            app.api.permissions.grant(permissions);
            Ok(())
        })
    }

    /// Takes permissions from the app: calls that need one are answered with 403
    /// `AccessTokenPermissionDenied`, on the old host with `errcode` 60011.
    pub fn revoke(&self, permissions: &[Permission]) -> Result<(), MockError> {
        self.act(|app, _| {
            app.api.permissions.revoke(permissions);
            Ok(())
        })
    }

    /// How its pushes behave where the sources leave it open.
    pub fn delivery(&self) -> Result<DeliveryRules, MockError> {
        self.look(|app| app.delivery)
    }

    /// Writes a text message to a connection, by its id, or to `all`, whatever it may be.
    pub fn push_raw_to(&self, connection: &str, text: &str) -> Result<Said, MockError> {
        self.act(|app, cx| app.push_raw_to(cx, connection, &Outgoing::Text(text.into())))
    }

    /// Removes one fault rule, by its id.
    pub fn remove_fault(&self, id: u64) -> Result<(), MockError> {
        self.act(|app, _| match app.faults.clear(Some(id)) {
            0 => Err(VerbError::NotFound { what: "fault", name: id.to_string() }),
            _ => Ok(()),
        })
    }

    /// Deletes the app and resets its connections. Other verbs fail from then on.
    pub fn delete(&self) -> Result<(), MockError> {
        Ok(self.hub.step(|fleet, now| fleet.delete_app(now, self.client_id()))?)
    }
}
