//! What commands are answered with: short, Chinese first.

use super::parse::Name;
use crate::agent::Turn;
use crate::agent::control::{Choice, SessionStatus, Think, UsageLine, word};
use crate::protocol::{ConversationType, SenderId, SenderStaffId};

/// A command failed, and the log says why.
pub(super) const FAILED: &str = "命令执行失败，原因见日志\n\
    The command failed; whoever runs me finds the reason in the log";

pub(super) fn both(chinese: &str, english: &str) -> String {
    format!("{chinese}\n{english}")
}

/// What `/stop` is answered with; `turns` were stopped or taken out of the queue.
pub(crate) fn stopped(turns: usize) -> String {
    match turns {
        0 => both("没有正在进行的任务", "Nothing to stop."),
        1 => both("已停止", "Stopped."),
        n => both(&format!("已停止（{n} 条消息）"), &format!("Stopped ({n} messages).")),
    }
}

pub(super) fn takes_nothing(name: Name) -> String {
    let word = name.word();
    both(
        &format!("/{word} 后面不能带文字，请单独发送 /{word}"),
        &format!("/{word} takes nothing behind it, and nothing was done; send /{word} alone."),
    )
}

pub(super) fn no_sessions(name: Name) -> String {
    let word = name.word();
    both(
        &format!("这个机器人没有会话和模型，/{word} 无效"),
        &format!("This agent has neither sessions nor models, so /{word} does nothing."),
    )
}

pub(super) fn help() -> String {
    both(
        "会话：/new /reset /compact /stop\n模型：/model /models /think\n状态：/status /usage /whoami\n\
         全部命令：/commands",
        "Session: /new /reset /compact /stop\nModel: /model /models /think\n\
         Status: /status /usage /whoami\nAll commands: /commands",
    )
}

pub(super) fn commands() -> String {
    let line = |name: Name| {
        let (takes, chinese, english) = about(name);
        let aliases = &name.words()[1..];
        let aliases = match aliases {
            [] => String::new(),
            _ => format!(" (/{})", aliases.join(", /")),
        };
        format!("/{}{takes}{aliases}: {chinese} · {english}", name.word())
    };
    Name::ALL.map(line).join("\n")
}

/// What a command takes, and what it does.
fn about(name: Name) -> (&'static str, &'static str, &'static str) {
    match name {
        Name::Help => ("", "常用命令", "short help"),
        Name::Commands => ("", "全部命令", "this list"),
        Name::Status => ("", "会话状态", "how the session stands"),
        Name::Whoami => ("", "您的 ID", "your id"),
        Name::New => ("", "开始新会话", "start a new session"),
        Name::Reset => ("", "重置会话", "forget the session"),
        Name::Compact => (" [WHAT MATTERS]", "压缩会话历史", "shorten the history to a summary"),
        Name::Stop => ("", "停止回答并清空排队", "stop the answer and what waits"),
        Name::Models => (" [PART OF NAME]", "可用模型", "the models there are"),
        Name::Model => (" [NAME|default]", "查看或切换模型", "show or change the model"),
        Name::Think => {
            (" [off|minimal|low|medium|high|xhigh]", "思考强度", "how hard the model thinks")
        }
        Name::Usage => (" [off|tokens|full]", "令牌用量", "tokens used, and a line below answers"),
    }
}

/// Ids, as access rules and pushes take them: their case counts.
pub(super) fn whoami(turn: &Turn, sender: Option<&SenderId>) -> String {
    let staff_id = turn.sender_staff_id.as_ref().map(SenderStaffId::as_str);
    let id = staff_id.or(sender.map(SenderId::as_str)).unwrap_or("?");
    let nick = turn.sender_nick.as_deref().unwrap_or("?");
    let mut lines = vec![
        format!("ID: {id}"),
        format!("昵称 name: {}", nick.replace(char::is_control, " ")),
        format!("白名单 allowFrom: user:{id}"),
    ];
    // Pushes know people of the organisation only.
    lines.extend(staff_id.map(|id| format!("推送目标 push target: user:{id}")));
    let chat = &turn.conversation_id;
    lines.push(match turn.conversation_type {
        ConversationType::Group => format!("本群 this group: chat:{chat}"),
        _ => format!("单聊 direct chat: {chat}"),
    });
    lines.join("\n")
}

pub(super) fn bare_status() -> String {
    format!(
        "ddingtalk {}\n{}",
        env!("CARGO_PKG_VERSION"),
        both("没有会话和模型", "no sessions, no models")
    )
}

/// Answers of several lines.
pub(super) struct Lines;

impl Lines {
    pub(super) fn status(status: &SessionStatus) -> String {
        let summary = if status.summarised { "（含摘要 with summary）" } else { "" };
        [
            format!("ddingtalk {}", env!("CARGO_PKG_VERSION")),
            format!("模型 model: {} @ {}", status.model, status.host),
            format!("思考 think: {}", word(&status.think)),
            format!(
                "历史 history: {} 轮 turns, {} 字节 bytes{summary}",
                status.exchanges, status.bytes
            ),
            tokens(status),
        ]
        .join("\n")
    }
}

fn tokens(status: &SessionStatus) -> String {
    let tokens = status.tokens;
    format!("令牌 tokens: ↑{} ↓{}", tokens.prompt, tokens.completion)
}

pub(super) fn usage(status: &SessionStatus) -> String {
    format!("{}\n回答下方 below answers: {}", tokens(status), word(&status.usage))
}

pub(super) fn usage_line(line: UsageLine) -> String {
    let word = word(&line);
    both(&format!("回答下方显示用量：{word}"), &format!("Usage below answers: {word}."))
}

pub(super) fn think(think: Think) -> String {
    let word = word(&think);
    both(&format!("思考强度：{word}"), &format!("Thinking: {word}."))
}

/// What a command takes, since it was given something else.
pub(super) fn levels<T: clap::ValueEnum>(name: Name, given: &str) -> String {
    let levels: Vec<_> = T::value_variants().iter().map(word).collect();
    let (levels, name) = (levels.join(", "), name.word());
    let given = short(given);
    both(
        &format!("/{name} 没有“{given}”，可选：{levels}"),
        &format!("/{name} knows no \"{given}\"; it takes {levels}."),
    )
}

/// Models shown at most.
const SHOWN: usize = 100;

/// The models with `part` in their names, in whatever case.
pub(super) fn models(models: &[String], current: &str, part: &str) -> String {
    let wanted = part.to_lowercase();
    let models: Vec<_> =
        models.iter().filter(|model| model.to_lowercase().contains(&wanted)).collect();
    if models.is_empty() && !wanted.is_empty() {
        let part = short(part);
        return both(
            &format!("没有名称含“{part}”的模型，全部见 /models"),
            &format!("No model has \"{part}\" in its name; /models lists all."),
        );
    }
    let line = |model: &&String| {
        let mark = if *model == current { " ✓" } else { "" };
        format!("- {model}{mark}")
    };
    let mut lines = vec![format!("模型 models ({}):", models.len())];
    lines.extend(models.iter().take(SHOWN).map(line));
    if models.len() > SHOWN {
        lines.push(format!("… +{}", models.len() - SHOWN));
    }
    lines.push(both("切换：/model 名称", "Switch: /model NAME"));
    lines.join("\n")
}

pub(super) fn model(current: &str) -> String {
    format!(
        "模型 model: {current}\n{}",
        both("切换：/model 名称；列表：/models", "Switch: /model NAME; list: /models")
    )
}

/// What somebody wrote, as it is quoted back.
fn short(words: &str) -> String {
    const CHARACTERS: usize = 60;
    let mut short: String = words.chars().take(CHARACTERS).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    short.replace(char::is_control, " ")
}

pub(super) fn choice(wanted: &str, choice: &Choice) -> String {
    let wanted = short(wanted);
    match choice {
        Choice::Chosen(model) => {
            both(&format!("本会话的模型：{model}"), &format!("Model of this session: {model}."))
        }
        Choice::Unchecked(model) => both(
            &format!("本会话的模型：{model}（服务没有模型列表，未校验）"),
            &format!("Model of this session: {model} (unchecked: the endpoint lists none)."),
        ),
        Choice::Unknown => both(
            &format!("没有模型“{wanted}”，可用模型见 /models"),
            &format!("There is no model \"{wanted}\"; /models lists what there is."),
        ),
    }
}
