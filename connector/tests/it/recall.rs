//! What can be done with messages that the robot API took.

use dingtalk_connector::openapi::OpenApiClient;
use dingtalk_connector::openapi::robot_sent::SendStatus;
use dingtalk_connector::protocol::{
    ConversationId, ProcessQueryKey, RobotCode, RobotMessage, SenderStaffId,
};

use crate::support::World;

fn text(text: &str) -> RobotMessage {
    RobotMessage::Text(text.to_owned())
}

fn users(ids: &[&str]) -> Vec<SenderStaffId> {
    ids.iter().map(|id| SenderStaffId::new(*id)).collect()
}

#[tokio::test]
async fn direct_messages_are_read_and_taken_back() {
    let world = World::new().await;
    let client = OpenApiClient::new(world.openapi_config());
    let robot = RobotCode::new(world.app.robot_code());
    let two = users(&["user0001", "user0002"]);
    let sent = client.batch_send(&robot, &two, &text("hi")).await.unwrap();
    let key = ProcessQueryKey::new(&*sent.process_query_key);
    world.app.read("user0002", key.as_str()).unwrap();
    let before = client.call_budget().calls_this_month;
    let status = client.read_status(&robot, &key).await.unwrap();
    assert_eq!(client.call_budget().calls_this_month, before + 1, "it counts like any call");
    assert_eq!(status.send_status, SendStatus::Success);
    let read: Vec<_> = status.people.iter().map(|p| (p.user_id.as_str(), p.read)).collect();
    assert_eq!(read, [("user0001", false), ("user0002", true)]);

    let unknown = ProcessQueryKey::new("nothing+of/the=kind");
    let result = client.batch_recall(&robot, &[key.clone(), unknown.clone()]).await.unwrap();
    assert_eq!(result.recalled, [key.as_str()]);
    assert_eq!(result.failed.len(), 1);
    assert_eq!(result.failed[0].0, unknown.as_str());
    assert!(world.app.sent().unwrap().iter().all(|row| row.recalled));
    let refused = client.batch_recall(&robot, &[unknown]).await.unwrap_err();
    assert!(refused.to_string().contains("invalid.processQueryKey"), "{refused}");
}

#[tokio::test]
async fn group_messages_are_read_page_by_page_and_taken_back() {
    let world = World::new().await;
    let client = OpenApiClient::new(world.openapi_config());
    let robot = RobotCode::new(world.app.robot_code());
    let said = world.app.say_in_group("user0001", "Team", "hello").await.unwrap();
    let group = ConversationId::new(said.conversation_id);
    let key = client.group_send(&robot, &group, &text("all")).await.unwrap();
    let key = ProcessQueryKey::new(key);
    world.app.read("user0001", key.as_str()).unwrap();
    let page = client.group_readers(&robot, &group, &key, 200, None).await.unwrap();
    assert_eq!((page.send_status, page.next_token), (SendStatus::Success, None));
    assert_eq!(page.read_user_ids, ["user0001"]);
    let result = client.group_recall(&robot, &group, std::slice::from_ref(&key)).await.unwrap();
    assert_eq!((result.recalled, result.failed), (vec![key.as_str().to_owned()], Vec::new()));
    assert!(world.app.sent().unwrap()[0].recalled);
}

#[tokio::test]
async fn a_batch_says_whom_it_did_not_reach() {
    let world = World::new().await;
    let client = OpenApiClient::new(world.openapi_config());
    let robot = RobotCode::new(world.app.robot_code());
    let mut limits = world.app.limits().unwrap();
    limits.flow_controlled = vec!["user0002".to_owned()];
    world.app.set_limits(limits).unwrap();
    let all = users(&["user0001", "user0002", "nobody"]);
    let sent = client.batch_send(&robot, &all, &text("hi")).await.unwrap();
    assert_eq!(sent.invalid_staff_ids, ["nobody"]);
    assert_eq!(sent.flow_controlled_staff_ids, ["user0002"]);
    let to: Vec<_> = world.app.sent().unwrap().into_iter().map(|row| row.to).collect();
    assert_eq!(to, ["user0001"]);
}
