//! Patterns over a store: the keys that match, from both ends, and from no more keys than need be looked at.

use codex::{ErrorKind, Store};

fn keys(entries: impl Iterator<Item = codex::Result<(codex::Bytes, codex::Bytes)>>) -> Vec<String> {
    entries
        .map(|entry| String::from_utf8(entry.expect("the values are whole").0.to_vec()).expect("ASCII"))
        .collect()
}

#[test]
fn a_pattern_gives_its_keys_in_order_from_both_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("app.db")).expect("a new database");
    for key in ["user:1:mail", "user:1:name", "user:2:name", "user:3:name", "users", "v:1:name"] {
        store.set_bytes(key, key).expect("a commit");
    }
    let view = store.view();
    store.set_bytes("user:0:name", "later").expect("a commit");
    assert_eq!(
        keys(view.glob("user:*:name").expect("a pattern")),
        ["user:1:name", "user:2:name", "user:3:name"]
    );
    assert_eq!(keys(view.glob("user:[^2]:name").expect("a pattern").rev()), ["user:3:name", "user:1:name"]);
    let mut ends = view.glob("*:name").expect("a pattern");
    let key = |entry: Option<codex::Result<(codex::Bytes, codex::Bytes)>>| {
        String::from_utf8(entry.expect("one more").expect("the values are whole").0.to_vec()).expect("ASCII")
    };
    assert_eq!((key(ends.next()), key(ends.next_back())), ("user:1:name".into(), "v:1:name".into()));
    assert_eq!(keys(ends.by_ref()), ["user:2:name", "user:3:name"]);
    assert!(ends.next().is_none() && ends.next_back().is_none());
    assert_eq!(keys(view.glob("users").expect("a pattern")), ["users"]);
    assert_eq!(keys(view.glob("").expect("a pattern")), [""; 0]);
    assert_eq!(keys(store.glob("user:0*").expect("a pattern")), ["user:0:name"], "a fresh view");
    assert_eq!(view.glob("user:[1").map(|_| ()).expect_err("no end").kind(), ErrorKind::Validation);
}
