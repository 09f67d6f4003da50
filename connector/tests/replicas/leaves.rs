//! A process that is told to end, and has something to finish, leaves all else to the others at once.

use std::time::{Duration, Instant};

use dingtalk_connector::protocol::ConversationId;
use dingtalk_connector::store::replicas::Bucket;
use tokio::net::{TcpListener, TcpStream};

use super::cluster::Cluster;
use super::process::{PATIENCE, Replica, Site};
use super::storm::wait_shared;

/// People who write after it was told to end.
const PEOPLE: usize = 40;

pub(crate) async fn play() -> Result<(), String> {
    let cluster = Cluster::shared().ok_or("there is no PostgreSQL")?;
    let site = Site::new(cluster).await;
    // A model that never answers.
    let model = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", model.local_addr().unwrap());
    let (mut ends, mut stays) =
        (Replica::new(&site, "ends").await, Replica::new(&site, "stays").await);
    stays.start(&site);
    let openai = [("OPENAI_BASE_URL", &*url), ("OPENAI_MODEL", "small"), ("OPENAI_API_KEY", "k")];
    ends.start_as(&site, &["--agent", "openai"], &openai);
    let mut replicas = [ends, stays];
    wait_shared(&site, &replicas).await?;
    let [ends, stays] = &mut replicas;
    let (held, _waits) = asked(&site, &model).await?;
    let before = site.app.sent().unwrap().len();
    ends.tell_to_end();
    ends.wait_log("answers under way").await?;
    let start = Instant::now();
    let mut said = Vec::new();
    for n in 0..PEOPLE {
        let person = format!("user1{n:03}");
        said.push(site.app.say(&person, "hello").await.unwrap().msg_id);
    }
    // Those beside the answer that is under way wait for its end.
    let free = said.iter().filter(|msg_id| bucket(&site, msg_id) != held).count();
    while site.app.sent().unwrap().len() < before + free {
        if !ends.is_running() {
            return Err(format!("{free} messages waited for its end:\n{}", ends.log()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "{free} of {PEOPLE} chats were answered within {} ms by another process while one finished a turn",
        start.elapsed().as_millis()
    );
    ends.ended()?;
    let start = Instant::now();
    // The turn that it could not finish, too.
    while site.app.sent().unwrap().len() < before + PEOPLE + 1 {
        if start.elapsed() > PATIENCE {
            return Err(format!("not all is answered:\n{}", stays.log()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Writes until the model is asked; the bucket of that chat, and the connection on which somebody waits.
async fn asked(site: &Site, model: &TcpListener) -> Result<(Bucket, TcpStream), String> {
    for n in 0..PEOPLE {
        let before = site.app.sent().unwrap().len();
        let said = site.app.say(&format!("user0{n:03}"), "how is it?").await.unwrap();
        let start = Instant::now();
        while site.app.sent().unwrap().len() == before {
            let accepted = tokio::time::timeout(Duration::from_millis(20), model.accept()).await;
            if let Ok(accepted) = accepted {
                return Ok((bucket(site, &said.msg_id), accepted.unwrap().0));
            }
            if start.elapsed() > PATIENCE {
                return Err("nobody works on a message".to_owned());
            }
        }
    }
    Err("all chats are the other one's".to_owned())
}

/// The bucket of a message's chat.
fn bucket(site: &Site, msg_id: &str) -> Bucket {
    let rows = site.app.deliveries().unwrap();
    let row = rows.iter().find(|row| row.msg_id.as_deref() == Some(msg_id)).unwrap();
    Bucket::of(&ConversationId::new(row.conversation_id.clone().unwrap()))
}
