//! The records of ZooKeeper's binary protocol that a session sends and reads: `zookeeper.jute`. They are big-endian, each
//! message has its length in front. Pure.

use super::{SessionId, Znode};
use bytes::{Buf, BufMut};

pub(super) const CREATE: i32 = 1;
pub(super) const DELETE: i32 = 2;
pub(super) const GET_DATA: i32 = 4;
pub(super) const SET_DATA: i32 = 5;
pub(super) const SYNC: i32 = 9;
pub(super) const PING: i32 = 11;
pub(super) const GET_CHILDREN: i32 = 8;
pub(super) const ADD_WATCH: i32 = 106;
pub(super) const CLOSE: i32 = -11;
/// Requests need no numbers: a server answers them in their order.
pub(super) const XID: i32 = 1;
/// What an answer has in place of a request's number: it tells of a change, or that the server is there.
pub(super) const CHANGE_XID: i32 = -1;
pub(super) const PING_XID: i32 = -2;
/// The kind of change.
pub(super) const REMOVED: i32 = 2;
/// A watch that stays, on a znode and all below it.
pub(super) const PERSISTENT_RECURSIVE: i32 = 1;
pub(super) const NO_NODE: i32 = -101;
pub(super) const NODE_EXISTS: i32 = -110;
/// What is made with this flag goes with the session that made it.
pub(super) const EPHEMERAL: i32 = 1;
/// What is made with this one stays.
pub(super) const LASTING: i32 = 0;
/// Whatever was written before.
pub(super) const ANY_VERSION: i32 = -1;
/// `ZooDefs.Perms.ALL`.
pub(super) const ALL_PERMISSIONS: i32 = 31;

pub(super) fn request(number: i32, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut request = Vec::new();
    request.put_i32(XID);
    request.put_i32(number);
    body(&mut request);
    request
}

pub(super) fn put_framed(messages: &mut Vec<u8>, message: &[u8]) {
    messages.put_i32(message.len() as i32);
    messages.extend_from_slice(message);
}

pub(super) fn put_bytes(request: &mut Vec<u8>, bytes: &[u8]) {
    request.put_i32(bytes.len() as i32);
    request.extend_from_slice(bytes);
}

pub(super) fn put_text(request: &mut Vec<u8>, text: &str) {
    put_bytes(request, text.as_bytes());
}

/// A path of which no change is to be told.
pub(super) fn put_unwatched(request: &mut Vec<u8>, path: &str) {
    put_text(request, path);
    request.put_u8(0);
}

pub(super) fn take_text(message: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(message.try_get_i32().ok()?).ok()?;
    let (text, rest) = message.split_at_checked(length)?;
    *message = rest;
    String::from_utf8(text.to_vec()).ok()
}

/// A list of texts.
pub(super) fn texts(mut answer: &[u8]) -> Option<Vec<String>> {
    let count = answer.try_get_i32().ok()?;
    (0..count).map(|_| take_text(&mut answer)).collect()
}

/// A `WatcherEvent`: what happened, the state of the session, the path. Whether it was removed, and the path.
pub(super) fn change(mut message: &[u8]) -> Option<(bool, String)> {
    let kind = message.try_get_i32().ok()?;
    let _state = message.try_get_i32().ok()?;
    Some((kind == REMOVED, take_text(&mut message)?))
}

/// The answer to `getData`: the data, then the znode's `Stat`.
pub(super) fn znode(mut answer: &[u8]) -> Option<Znode> {
    let length = usize::try_from(answer.try_get_i32().ok()?).ok()?;
    let data = answer.get(..length)?.to_vec();
    let mut stat = answer.get(length..)?;
    let (created, written) = (stat.try_get_i64().ok()?, stat.try_get_i64().ok()?);
    // When it was made and written, then three versions.
    stat = stat.get(2 * 8 + 3 * 4..)?;
    Some(Znode { created, written, owner: SessionId(stat.try_get_i64().ok()?), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_and_a_list_are_read_whole_or_not_at_all() {
        let mut event = Vec::new();
        event.put_i32(REMOVED);
        event.put_i32(3);
        put_text(&mut event, "/controller");
        assert_eq!(change(&event), Some((true, "/controller".to_owned())));
        let mut list = Vec::new();
        list.put_i32(2);
        put_text(&mut list, "1");
        put_text(&mut list, "23");
        assert_eq!(texts(&list), Some(vec!["1".to_owned(), "23".to_owned()]));
        assert!((0..event.len()).all(|length| change(&event[..length]).is_none()));
        assert!((0..list.len()).all(|length| texts(&list[..length]).is_none()));
    }

    #[test]
    fn an_answer_cut_off_anywhere_is_no_answer() {
        let mut whole = Vec::new();
        whole.put_i32(2);
        whole.put_slice(b"{}");
        whole.put_i64(5);
        whole.put_i64(6);
        whole.put_bytes(0, 2 * 8 + 3 * 4);
        whole.put_i64(7);
        whole.put_bytes(0, 4 + 4 + 8);
        let read = Znode { created: 5, written: 6, owner: SessionId(7), data: b"{}".to_vec() };
        assert_eq!(znode(&whole), Some(read));
        for length in 0..4 + 2 + 4 * 8 + 3 * 4 + 8 {
            assert_eq!(znode(&whole[..length]), None, "{length}");
        }
        let mut whole = Vec::new();
        whole.put_i32(2);
        put_text(&mut whole, "1");
        put_text(&mut whole, "23");
        assert_eq!(texts(&whole), Some(vec!["1".to_owned(), "23".to_owned()]));
        for length in 0..whole.len() {
            assert_eq!(texts(&whole[..length]), None, "{length}");
        }
    }
}
