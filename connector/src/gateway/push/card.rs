//! Cards that answer nothing: made, shown and finished in one go.

use std::time::Instant;

use uuid::Uuid;

use super::super::cards::Cards;
use super::super::parts::parts;
use super::super::persist::{GivenUp, persist, persist_or_tell};
use super::{Deliveries, Delivery, NOW, Outcome, Pusher, Target, failed};
use crate::agent::Say;
use crate::markdown;
use crate::openapi::OpenApiError;
use crate::openapi::card::{CardFrame, CardSpace, CardStage, CreateCard};

impl Pusher {
    /// Shows a card to one after the other. Those who cannot get cards get Markdown.
    pub(super) async fn send_cards(&self, to: Vec<Target>, text: &str) -> Deliveries {
        let words = markdown::render(text);
        let (mut deliveries, mut without) = (Vec::with_capacity(to.len()), Vec::new());
        for target in to {
            // Another answer may have learnt meanwhile that cards are refused.
            if !self.cards.may_open(Instant::now()) {
                without.push(target);
                continue;
            }
            let out_track_id = Uuid::new_v4().to_string();
            match self.send_card(&target, &out_track_id, &words).await {
                Ok(()) => {
                    let outcome = Outcome::Delivered { out_track_id: Some(out_track_id) };
                    deliveries.push(Delivery::none(target, outcome, 1));
                }
                Err(Unsent { e: GivenUp { error, .. }, shown: false })
                    if error.is_permission_denied() =>
                {
                    self.cards.refused(&error);
                    without.push(target);
                }
                // The call budget has no room for a card, which costs two calls for one.
                Err(Unsent {
                    e: GivenUp { error: OpenApiError::NotSpared { .. }, .. }, ..
                }) => {
                    without.push(target);
                }
                Err(Unsent { e, shown }) => {
                    let mut outcome = failed(&e);
                    if let Outcome::Failed { may_have_arrived, later, .. } = &mut outcome {
                        *may_have_arrived |= shown;
                        *later &= !shown;
                    }
                    deliveries.push(Delivery::none(target, outcome, 1));
                }
            }
        }
        if !without.is_empty() {
            let says = parts(Say::markdown(text));
            deliveries.extend(self.send_messages(without, says).await);
        }
        deliveries
    }

    async fn send_card(
        &self,
        target: &Target,
        out_track_id: &str,
        words: &str,
    ) -> Result<(), Unsent> {
        let Cards { client, config, .. } = &*self.cards;
        let robot_code = self.robot_code();
        let card = CreateCard {
            template_id: &config.template_id,
            out_track_id,
            key: &config.key,
            robot_code: &robot_code,
            space: match target {
                Target::User(user) => CardSpace::Robot(user),
                Target::Chat(group) => CardSpace::Group(group),
            },
        };
        // The name makes a repetition harmless.
        let create = || async {
            match client.create_and_deliver_card(&card).await {
                Err(e) if e.is_card_there() => Ok(()),
                outcome => outcome.map(drop),
            }
        };
        persist_or_tell(NOW, create, |_| ()).await.map_err(|e| Unsent { e, shown: false })?;
        let frame = CardFrame {
            guid: out_track_id,
            key: &config.key,
            content: words,
            stage: CardStage::Finished,
        };
        let finish = || client.stream_card(out_track_id, &frame);
        let Err(e) = persist_or_tell(NOW, finish, |_| ()).await else { return Ok(()) };
        // It must not wait for its words for ever.
        let (key, stage) = (&config.key, CardStage::Finished);
        let update = || client.update_card(out_track_id, key, words, stage);
        persist(NOW, update, |_| ()).await.map_err(|_| Unsent { e, shown: true })
    }
}

/// A card that was not finished.
struct Unsent {
    e: GivenUp<OpenApiError>,
    /// Its recipient sees it, without its words.
    shown: bool,
}
