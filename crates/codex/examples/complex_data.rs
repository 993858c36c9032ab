//! Types of one's own as values: nested structs, enums, maps, and the codec that each is written with.
//!
//! Run with `cargo run -p codex --example complex_data`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::collections::BTreeMap;
use std::error::Error;

use codex::{Codec, ErrorKind, Options, Store};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: Customer,
    lines: Vec<Line>,
    state: State,
    notes: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Customer {
    name: String,
    email: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    article: String,
    count: u32,
    /// Money is counted in whole cents: a fraction of two would be rounded somewhere.
    price_cents: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Open,
    Paid { cents: u64 },
    Sent(Vec<String>),
}

/// A part of an order.
#[derive(Deserialize)]
struct JustTheState {
    state: State,
}

impl Order {
    fn total_cents(&self) -> u64 {
        self.lines.iter().map(|line| u64::from(line.count) * line.price_cents).sum()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("orders.db"))?;

    let mut order = order();
    store.set("order:1001", &order)?;
    order.state = State::Paid { cents: order.total_cents() };
    store.set("order:1001", &order)?;
    let read: Option<Order> = store.get("order:1001")?;
    println!("read back: {}", read.as_ref() == Some(&order));

    // As JSON, the default, a value can be read by anything; a program may also ask for a part of it.
    if let Some(JustTheState { state }) = store.get("order:1001")? {
        println!("order 1001 is {state:?}");
    }

    // bincode is shorter. A typed read understands whatever wrote the value, so both can stand side by side.
    order.state = State::Sent(vec!["parcel 7".into(), "parcel 8".into()]);
    store.set_with(Codec::Bincode, "order:1002", &order)?;
    for entry in store.entries("order:".."order;") {
        let entry = entry?;
        let order: Order = entry.decode()?;
        let key = String::from_utf8_lossy(&entry.key);
        println!("{key}: {} cents, {:?} of {} bytes", order.total_cents(), entry.codec, entry.value.len());
    }
    store.close()?;

    // The codec of new values can be chosen for a whole store.
    let store = Options::new().codec(Codec::Bincode).open(folder.path().join("orders.db"))?;
    store.set("order:1003", &order)?;
    println!("of {} orders, each one reads the same way", store.prefix("order:").count());

    // A value of another type is an error, which says so without showing the value.
    match store.get::<Customer>("order:1001") {
        Err(error) if error.kind() == ErrorKind::Validation => println!("as a customer: {error}"),
        other => println!("unexpected: {other:?}"),
    }
    store.close()?;
    Ok(())
}

fn order() -> Order {
    Order {
        customer: Customer { name: "Ada Lovelace".into(), email: Some("ada@example.org".into()) },
        lines: vec![
            Line { article: "punched cards".into(), count: 500, price_cents: 2 },
            Line { article: "brass gear".into(), count: 3, price_cents: 1_250 },
        ],
        state: State::Open,
        notes: [("gift".to_owned(), "wrap it".to_owned())].into(),
    }
}
