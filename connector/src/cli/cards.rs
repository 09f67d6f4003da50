//! Flags about cards.

use crate::gateway::cards::{CARD_KEY, CARD_TEMPLATE, CardConfig, CardMode};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct CardArgs {
    /// Whether answers that the agent streams are shown on AI cards.
    #[arg(long, value_enum, default_value = "auto", env = "DINGTALK_CARDS")]
    cards: CardMode,
    /// `cardTemplateId` of those cards.
    #[arg(
        long, value_name = "ID", default_value = CARD_TEMPLATE, env = "DINGTALK_CARD_TEMPLATE",
        value_parser = present
    )]
    card_template: String,
    /// The template's variable that holds the words.
    #[arg(
        long, value_name = "NAME", default_value = CARD_KEY, env = "DINGTALK_CARD_KEY",
        value_parser = present
    )]
    card_key: String,
}

impl From<CardArgs> for CardConfig {
    fn from(args: CardArgs) -> Self {
        Self {
            mode: args.cards,
            template_id: args.card_template,
            key: args.card_key,
            ..Self::default()
        }
    }
}

/// A name without the blanks around it, as they come with pasting.
fn present(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty; give it a value or leave it out".to_owned());
    }
    Ok(text.to_owned())
}
