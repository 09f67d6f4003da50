//! How an app of a running mock was before a file was played on it.

use mock_dingtalk::Profile;
use serde_json::{Map, Value, json};

use crate::cli::{client::Client, exit_code::Exit};

/// The settings of an app that files change, and its faults.
#[derive(Debug)]
pub(super) struct Before {
    strictness: Value,
    delivery: Value,
    faults: Vec<u64>,
}

impl Before {
    pub(super) async fn of(client: &Client, app: &str) -> Result<Self, Exit> {
        let at = |name| client.at(&["apps", app, name]);
        // A change of nothing shows what there is.
        let rules = client.post(at("delivery"), &json!({})).await?;
        let delivery = json!({
            "profile": rules["profile"],
            "sameMessageId": rules["sameMessageId"],
            "ghostFor": format!("{}ms", rules["ghostForMs"]),
        });
        let strictness = client.get(at("strictness")).await?;
        Ok(Self { strictness, delivery, faults: faults(client, app).await? })
    }

    /// Brings it back, and removes the faults that were added.
    pub(super) async fn restore(&self, client: &Client, app: &str) -> Result<(), Exit> {
        let at = |name| client.at(&["apps", app, name]);
        client.post(at("strictness"), &self.strictness).await?;
        client.post(at("delivery"), &self.delivery).await?;
        for id in faults(client, app).await? {
            if !self.faults.contains(&id) {
                client.delete(client.at(&["apps", app, "faults", &id.to_string()])).await?;
            }
        }
        Ok(())
    }
}

/// Gives an app the settings of a file, and else those of a new app.
pub(super) async fn settle(
    client: &Client,
    app: &str,
    mut options: Map<String, Value>,
) -> Result<(), Exit> {
    let at = |name| client.at(&["apps", app, name]);
    let lenient = options.remove("lenient").unwrap_or(Value::Bool(false));
    client.post(at("strictness"), &json!({ "lenient": lenient })).await?;
    let profile = Profile::default().name();
    let mut delivery = json!({ "profile": profile, "sameMessageId": false, "ghostFor": "0s" });
    for (name, value) in options {
        delivery[name] = value;
    }
    client.post(at("delivery"), &delivery).await?;
    Ok(())
}

async fn faults(client: &Client, app: &str) -> Result<Vec<u64>, Exit> {
    let rows = client.get(client.at(&["apps", app, "faults"])).await?;
    Ok(rows.as_array().into_iter().flatten().filter_map(|row| row["id"].as_u64()).collect())
}
