//! What people and tests do to an app: speak, push, disconnect, cut.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    app::{App, Cx},
    connection::{ConnectionKey, ConnectionState, SystemFrame},
    conversation::{Conversation, ConversationKind},
    delivery::{Delivery, DeliveryState, Payload},
    effect::Outgoing,
    fault::{Action, Fault, FaultRow, Point},
    fault_check,
    fixture::{FixtureFrame, Renewal, fixture_bytes, fixture_names},
    inbound::{MsgType, Sample},
    journal::{Draft, EntryKind},
    lifetime,
    message::{RobotMessage, Said, SaidState, SayConversation},
    session::Session,
    verb_error::{VerbError, check_id, check_title, quoted},
};

/// The message that a push carries, if it carries one.
struct Chat {
    msg_id: String,
    conversation_id: String,
}

impl App {
    /// The chat that a person means, made now if need be. `None` when there are too many.
    pub(super) fn chat_of(
        &mut self,
        from: &str,
        wanted: Option<&SayConversation>,
    ) -> Result<Option<Conversation>, VerbError> {
        let Some(wanted) = wanted else {
            return Ok(self.conversations.direct(&mut self.mint, from, None));
        };
        if let Some(title) = &wanted.title {
            check_title("conversation.title", title)?;
        }
        if let Some(id) = &wanted.id {
            check_id("conversation.id", id)?;
            let kind = self.conversations.get(id).map(|known| known.kind);
            if kind.is_some_and(|kind| kind != wanted.kind) {
                let allowed = "the type that this conversation has already";
                return Err(VerbError::invalid("conversation.type", "the other one", allowed));
            }
            if wanted.kind == ConversationKind::Direct
                && let Some(allowed) = self.conversations.why_not_direct(from, id)
            {
                return Err(VerbError::invalid("conversation.id", quoted(id), allowed));
            }
        }
        let id = wanted.id.as_deref();
        Ok(match wanted.kind {
            ConversationKind::Direct => self.conversations.direct(&mut self.mint, from, id),
            ConversationKind::Group => {
                self.conversations.group(&mut self.mint, id, wanted.title.as_deref())
            }
        })
    }

    /// Opens the session of one message; the second value is when it ends, on the wall.
    pub(super) fn open_session(
        &mut self,
        cx: &Cx<'_>,
        conversation: &Conversation,
        user_id: &str,
        msg_id: &str,
    ) -> (String, i64) {
        let id = self.mint.session(self.number);
        self.sessions.add(Session {
            id: id.clone(),
            conversation_id: conversation.id.clone(),
            to: match conversation.kind {
                ConversationKind::Direct => user_id.to_owned(),
                ConversationKind::Group => conversation.id.clone(),
            },
            msg_id: msg_id.to_owned(),
            expires: cx.now.since_start.saturating_add(lifetime::SESSION_WEBHOOK),
            answers: Vec::new(),
        });
        let end = cx.now.since_start.saturating_add(lifetime::SESSION_WEBHOOK);
        (id, cx.now.at(end).unix_ms)
    }

    /// Pushes what a person sent.
    pub(super) fn deliver_message(
        &mut self,
        cx: &mut Cx<'_>,
        topic: &str,
        message: RobotMessage,
        msg_id: String,
        conversation_id: String,
    ) -> Said {
        let chat = Chat { msg_id, conversation_id };
        self.deliver(cx, "CALLBACK", topic, Some(chat), Payload::Robot(Box::new(message)))
    }

    /// Pushes a frame that is no chat message.
    pub(super) fn deliver_frame(
        &mut self,
        cx: &mut Cx<'_>,
        kind: &'static str,
        topic: &str,
        frame: FixtureFrame,
    ) -> Said {
        self.deliver(cx, kind, topic, None, Payload::Fixture(Box::new(frame)))
    }

    fn deliver(
        &mut self,
        cx: &mut Cx<'_>,
        kind: &'static str,
        topic: &str,
        chat: Option<Chat>,
        payload: Payload,
    ) -> Said {
        let message_id = self.mint.message_id(cx.now);
        let (msg_id, conversation_id) =
            chat.map(|chat| (chat.msg_id, chat.conversation_id)).unzip();
        let mut said = Said {
            msg_id: msg_id.clone().unwrap_or_default(),
            message_id: message_id.clone(),
            conversation_id: conversation_id.clone().unwrap_or_default(),
            state: SaidState::Lost,
        };
        let delivery = Delivery {
            seq: self.deliveries.next_seq(),
            state: DeliveryState::Queued,
            kind,
            topic: topic.to_owned(),
            msg_id,
            conversation_id,
            next_message_id: message_id,
            payload: Some(payload),
            attempts: Vec::new(),
            ack: None,
            acks: 0,
            blamed: false,
            press: None,
        };
        said.state = self.dispatch(cx, delivery);
        said
    }

    /// Pushes a fixture: `stream/…` with new ids, `hostile/…` as it stands.
    pub(crate) fn push_fixture(&mut self, cx: &mut Cx<'_>, name: &str) -> Result<Said, VerbError> {
        let unknown = || VerbError::Invalid {
            field: "fixture".to_owned(),
            value: quoted(name),
            allowed: format!(
                "one of {}",
                fixture_names().filter(|name| is_pushable(name)).collect::<Vec<_>>().join(", ")
            ),
        };
        let bytes = fixture_bytes(name).ok_or_else(unknown)?;
        if name.starts_with("hostile/") {
            let frame = match std::str::from_utf8(bytes) {
                Ok(text) if !is_binary(name) => Outgoing::Text(text.into()),
                _ => Outgoing::Binary(Bytes::from_static(bytes)),
            };
            return Ok(self.push_verbatim(cx, None, name, frame));
        }
        let frame = FixtureFrame::parse(bytes).ok_or_else(unknown)?;
        self.note(cx, Draft::new(EntryKind::Control, format!("push {name}")));
        Ok(match frame.kind() {
            "SYSTEM" => self.push_system(cx, frame),
            "EVENT" => {
                let mut frame = frame;
                let event_id = format!("dingmock{}", self.mint.hex(22));
                frame.renew_event(&event_id, &self.corp_id, cx.now);
                self.deliver(cx, "EVENT", "*", None, Payload::Fixture(Box::new(frame)))
            }
            _ => self.push_callback(cx, frame),
        })
    }

    fn push_callback(&mut self, cx: &mut Cx<'_>, mut frame: FixtureFrame) -> Said {
        let topic = frame.topic().to_owned();
        let Some(conversation_id) = frame.datum("conversationId").map(str::to_owned) else {
            let payload = Payload::Fixture(Box::new(frame));
            return self.deliver(cx, "CALLBACK", &topic, None, payload);
        };
        // What the fixture says can be downloaded can be downloaded.
        let msgtype = frame.datum("msgtype").unwrap_or_default();
        let msgtype = MsgType::NAMES.iter().find(|(name, _)| *name == msgtype);
        let sample = msgtype.and_then(|(_, msgtype)| msgtype.sample()).unwrap_or(Sample::Png);
        for code in frame.download_codes() {
            if self.api.media.get(&code).is_none() {
                let file = sample.media();
                let media = &mut self.api.media;
                let kept = media.sent_by_person(&mut self.mint, self.number, file, cx.now);
                let id = kept.id.clone();
                media.also_known_as(code, &id);
            }
        }
        // Outsiders come without a staff id; the reply is shown under their encrypted one.
        let sender = frame.datum("senderStaffId").or_else(|| frame.datum("senderId"));
        let sender = sender.unwrap_or("user0001").to_owned();
        let conversation = if frame.datum("conversationType") == Some("2") {
            let title = frame.datum("conversationTitle").map(str::to_owned);
            self.conversations.group(&mut self.mint, Some(&conversation_id), title.as_deref())
        } else {
            // A person has one chat with the robot, whichever the recording was of.
            let id = Some(conversation_id.as_str())
                .filter(|id| self.conversations.why_not_direct(&sender, id).is_none());
            self.conversations.direct(&mut self.mint, &sender, id)
        };
        let conversation = conversation.unwrap_or(Conversation {
            id: conversation_id,
            kind: ConversationKind::Direct,
            title: None,
            user_id: None,
        });
        let msg_id = self.mint.msg_id();
        let (session, session_expires_at) = self.open_session(cx, &conversation, &sender, &msg_id);
        frame.renew_message(Renewal {
            msg_id: msg_id.clone(),
            conversation_id: conversation.id.clone(),
            session,
            robot_code: self.robot_code.clone(),
            robot_dingtalk_id: self.robot_dingtalk_id.clone(),
            created_at: cx.now.unix_ms,
            session_expires_at,
        });
        let payload = Payload::Fixture(Box::new(frame));
        let chat = Chat { msg_id, conversation_id: conversation.id };
        self.deliver(cx, "CALLBACK", &topic, Some(chat), payload)
    }

    /// SYSTEM frames are no deliveries: nobody counts their answers, and `disconnect` drains.
    fn push_system(&mut self, cx: &mut Cx<'_>, mut frame: FixtureFrame) -> Said {
        let mut message_id = self.mint.system_message_id(cx.now);
        let Some(key) = self.any_open() else { return said(message_id, SaidState::Lost) };
        let connection = self.connections.get_mut(&key).expect("it was just found");
        let (id, base) = (Arc::clone(&connection.id), connection.open.base.http().to_owned());
        let topic = frame.topic().to_owned();
        if topic == "disconnect" {
            let text = frame.write(&self.header_id, &id, &message_id, &base, cx.now);
            self.drain(cx, key, Some(message_id.clone()), text);
        } else {
            let point = Point::Frame { kind: "SYSTEM", topic: &topic, connection: &id };
            let fault = self.faults.take(point, cx.now.since_start);
            if let Some(Action::MessageId(fixed)) = &fault {
                message_id.clone_from(fixed);
            }
            let asked = if topic == "ping" { SystemFrame::Ping } else { SystemFrame::Other };
            connection.ask(message_id.clone(), asked);
            let text = frame.write(&self.header_id, &id, &message_id, &base, cx.now);
            if fault.is_some() {
                self.spare(&text);
            }
            self.emit(cx, key, &format!("SYSTEM {topic}"), text, fault);
        }
        said(message_id, SaidState::Pushed)
    }

    /// Pushes something as it stands, whatever the bot subscribed to.
    pub(crate) fn push_verbatim(
        &mut self,
        cx: &mut Cx<'_>,
        to: Option<ConnectionKey>,
        what: &str,
        frame: Outgoing,
    ) -> Said {
        let Some(key) = to.or_else(|| self.any_open()) else {
            return said(String::new(), SaidState::Lost);
        };
        let Some(id) = self.connections.get(&key).map(|c| Arc::clone(&c.id)) else {
            return said(String::new(), SaidState::Lost);
        };
        if let Outgoing::Text(text) = &frame {
            self.spare(text);
        }
        self.send(cx, key, &id, what, frame);
        said(String::new(), SaidState::Pushed)
    }

    /// One of the open connections, at random.
    fn any_open(&mut self) -> Option<ConnectionKey> {
        let open: Vec<_> = self
            .connections
            .values()
            .filter(|connection| connection.state == ConnectionState::Open && !connection.is_peer())
            .map(|connection| connection.key)
            .collect();
        (!open.is_empty()).then(|| open[self.mint.choose(open.len())])
    }

    /// Writes a message to a connection, by its id, or to `all`, as it stands.
    pub(crate) fn push_raw_to(
        &mut self,
        cx: &mut Cx<'_>,
        connection: &str,
        frame: &Outgoing,
    ) -> Result<Said, VerbError> {
        let keys = self.named(connection)?.into_iter();
        let pushed = keys.map(|key| self.push_verbatim(cx, Some(key), "raw", frame.clone()));
        pushed.last().ok_or_else(|| VerbError::NotFound {
            what: "live connection",
            name: connection.to_owned(),
        })
    }

    /// The live connections that a name means: one id, or `all`.
    pub(crate) fn named(&self, name: &str) -> Result<Vec<ConnectionKey>, VerbError> {
        let live = self
            .connections
            .values()
            .filter(|c| !matches!(c.state, ConnectionState::Connecting | ConnectionState::Ghost));
        if name == "all" {
            return Ok(live.filter(|c| !c.is_peer()).map(|connection| connection.key).collect());
        }
        live.filter(|connection| &*connection.id == name)
            .map(|connection| Ok(connection.key))
            .next()
            .unwrap_or_else(|| {
                Err(VerbError::NotFound { what: "live connection", name: name.to_owned() })
            })
            .map(|key| vec![key])
    }

    /// Adds a fault rule.
    pub(crate) fn add_fault(
        &mut self,
        cx: &mut Cx<'_>,
        fault: Fault,
    ) -> Result<FaultRow, VerbError> {
        fault_check::of_app(&fault)?;
        let row = self.faults.add(fault, cx.now.since_start).ok_or(VerbError::TooMany {
            what: "fault rules of one app",
            limit: lifetime::FAULTS_PER_APP,
        })?;
        self.note(cx, Draft::new(EntryKind::Control, format!("fault {} added", row.id)));
        Ok(row)
    }
}

fn said(message_id: String, state: SaidState) -> Said {
    Said { msg_id: String::new(), message_id, conversation_id: String::new(), state }
}

fn is_binary(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|extension| extension == "bin")
}

fn is_pushable(name: &str) -> bool {
    name.starts_with("hostile/")
        || fixture_bytes(name).is_some_and(|bytes| FixtureFrame::parse(bytes).is_some())
}
