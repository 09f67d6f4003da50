//! Bodies that are larger than the mock reads.

use super::answer::Reply;
use crate::core::{http::HttpCall, journal::Diagnosis};

/// What a call gets whose body has more than `most` bytes. Uploads and webhooks have codes for it;
/// what DingTalk's gateways answer elsewhere is not known: status and code are our choice.
pub(super) fn answer(call: &HttpCall, most: usize) -> Reply {
    let (reply, see) = match call.path.as_str() {
        "/media/upload" => (Reply::errcode(40006, "不合法的文件大小"), "openapi.md 5.1 (KB 0646)"),
        "/robot/send" | "/robot/sendBySession" => {
            let errmsg = "message too long, exceed 20000 bytes";
            (Reply::errcode(460_101, errmsg), "openapi.md 8 (KB 0717)")
        }
        _ if call.is_oapi() => (Reply::errcode(400_002, "无效的参数"), "openapi.md 0.2"),
        _ => {
            let message = "the request body is too large";
            (Reply::error(413, "RequestEntityTooLarge", message), "openapi.md 0.1")
        }
    };
    let expected = format!("at most {most} bytes, this mock's own bound");
    reply.diagnosed(Diagnosis::new("the body is too large to be read", expected, see))
}
