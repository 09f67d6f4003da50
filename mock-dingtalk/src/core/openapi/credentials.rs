//! Ids and secrets that a call brings in its body or query.

use crate::core::{app::App, journal::Diagnosis, mutation::Mutation};

/// The app, if the secret is its own; else what was wrong.
pub(super) fn check<'a>(
    app: Option<&'a mut App>,
    id: &str,
    secret: &str,
    see: &'static str,
) -> Result<&'a mut App, Diagnosis> {
    let Some(app) = app else {
        let problem = if id == id.trim() {
            "no app has this client id"
        } else {
            "the client id has blanks around it"
        };
        return Err(Diagnosis::new(problem, "the clientId of an app minted here", see));
    };
    if app.client_secret == secret || app.mutated(Mutation::WrongSecret) {
        return Ok(app);
    }
    let problem = if app.client_secret == secret.trim() {
        "the client secret has blanks around it"
    } else {
        "the client secret is not the app's"
    };
    Err(Diagnosis::new(problem, "the clientSecret that the app was minted with", see))
}
