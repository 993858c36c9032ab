//! The verb key: list, add, remove and change what opens a database. `docs/cli.md`, "key".

use std::time::Duration;

use codex::{Argon2Cost, KeySlot, NewKey, SlotKind};
use serde_json::{Value, json};

use super::{Access, Database, open, target};
use crate::args::Global;
use crate::args::key::{self, Key, KeyAction};
use crate::confirm::{self, Consent, Unanswered};
use crate::exit::Failure;
use crate::output::Output;
use crate::secret::{Secret, Sources, is_given};

pub(super) fn key(global: &Global, key: &Key, output: &mut Output) -> Result<(), Failure> {
    match &key.action {
        KeyAction::List => list(global, output),
        KeyAction::Add(add) => self::add(global, add, output),
        KeyAction::Remove(remove) => self::remove(global, remove, output),
        KeyAction::Change(change) => self::change(global, change, output),
        KeyAction::Calibrate(calibrate) => self::calibrate(calibrate, output),
    }
}

fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let slots = if is_given(global) {
        open(global, Access::Read, output)?.key_slots()?
    } else {
        output.note("read without a key: nobody has checked that the slots are as they were written");
        target(global)?.key_slots()?
    };
    if slots.is_empty() {
        output.note("the database is not encrypted");
    }
    slots.iter().try_for_each(|slot| output.result(&text(slot), &object(slot)))
}

fn add(global: &Global, add: &key::Add, output: &mut Output) -> Result<(), Failure> {
    let (key, store) = new_key(global, &add.new, output)?;
    let number = store.add_key(key)?;
    store.close()?;
    output.result(&format!("slot {number} opens the database too"), &json!({"slot": number}))
}

fn remove(global: &Global, remove: &key::Remove, output: &mut Output) -> Result<(), Failure> {
    let number = remove.slot;
    if remove.dry_run {
        let slots = open(global, Access::Read, output)?.key_slots()?;
        let slot = slots.iter().find(|slot| slot.number == number).ok_or_else(|| {
            Failure::validation(format!("there is no key slot {number}"))
                .hint("`codex key list` shows the slots")
        })?;
        return output.result(&format!("would remove slot {}", text(slot)), &object(slot));
    }
    let message = "what opens this slot would open the database no more".to_owned();
    let unanswered = Unanswered::Refuse(message, format!("codex key remove {number} --yes"));
    confirm::ask(Consent::of(remove.yes), &format!("remove key slot {number}"), unanswered, output)?;
    let store = open(global, Access::Change, output)?;
    store
        .remove_key(number)
        .map_err(|error| Failure::from(error).hint("`codex key list` shows the slots"))?;
    store.close()?;
    output.note("copies of the file made before, backups too, open with it still");
    output.result(&format!("slot {number} is empty"), &json!({"slot": number}))
}

fn change(global: &Global, change: &key::Change, output: &mut Output) -> Result<(), Failure> {
    let (key, store) = new_key(global, &change.new, output)?;
    if change.deep {
        let others = store.key_slots()?.iter().filter(|slot| !slot.opened).count();
        if others > 0 {
            let message = format!("a deep change removes every other slot, and there are {others}");
            let hint = "codex key change --deep --yes …, and then codex key add for each".to_owned();
            let question = format!("remove the {others} other key slots");
            let unanswered = Unanswered::Refuse(message, hint);
            confirm::ask(Consent::of(change.yes), &question, unanswered, output)?;
        }
        store.change_key_deep(key)?;
    } else {
        store.change_key(key)?;
    }
    let slot = store.key_slots()?.into_iter().find(|slot| slot.opened).map_or(0, |slot| slot.number);
    store.close()?;
    output.note("copies of the file made before, backups too, open with the old key still");
    let text = if change.deep { "the key and the root key are changed" } else { "the key is changed" };
    output.result(&format!("{text}, in slot {slot}"), &json!({"slot": slot, "deep": change.deep}))
}

fn calibrate(calibrate: &key::Calibrate, output: &mut Output) -> Result<(), Failure> {
    let cost = codex::calibrate(Duration::from_millis(calibrate.target))?;
    let (memory, passes, lanes) = (cost.memory_kib() / 1024, cost.passes(), cost.lanes());
    let object = json!({"memory_mib": memory, "passes": passes, "lanes": lanes});
    output.result(&format!("--memory {memory} --passes {passes} --lanes {lanes}"), &object)
}

/// The new key, and the database: arguments are checked and the present key is asked for before the new one.
fn new_key(
    global: &Global,
    new: &key::NewSecret,
    output: &mut Output,
) -> Result<(NewKey, Database), Failure> {
    let cost = cost(new)?;
    let sources = Sources::of_new(new);
    let missing = || {
        Failure::validation("no new key is given, or more than one")
            .hint("give --new-key-file, --new-passphrase, --new-passphrase-file or --new-passphrase-command")
    };
    if sources.count() != 1 {
        return Err(missing());
    }
    let store = open(global, Access::Change, output)?;
    let secret = sources.read()?.ok_or_else(missing)?;
    if let Secret::Typed(typed) = &secret {
        Secret::confirm(typed)?;
    }
    let unlock = secret.unlock().ok_or_else(missing)?;
    let key = NewKey::from(unlock).cost(cost);
    Ok((if let Some(label) = &new.label { key.label(label) } else { key }, store))
}

fn cost(new: &key::NewSecret) -> Result<Argon2Cost, Failure> {
    let usual = Argon2Cost::default();
    let memory_kib = match new.memory {
        Some(mib) => mib.saturating_mul(1024),
        None => usual.memory_kib(),
    };
    let (passes, lanes) = (new.passes.unwrap_or(usual.passes()), new.lanes.unwrap_or(usual.lanes()));
    Argon2Cost::new(memory_kib, passes, lanes).map_err(|error| Failure::from(codex::Error::from(error)))
}

fn text(slot: &KeySlot) -> String {
    let cost = slot.cost.map_or_else(String::new, |cost| {
        let (mib, passes, lanes) = (cost.memory_kib() / 1024, cost.passes(), cost.lanes());
        format!(", {mib} MiB, {passes} passes, {lanes} lanes")
    });
    let in_use = if slot.opened { ", in use" } else { "" };
    format!("{}\t{}{cost}{in_use}\t{}", slot.number, kind(slot.kind), slot.label).trim_end().to_owned()
}

fn object(slot: &KeySlot) -> Value {
    let cost = slot.cost.as_ref();
    json!({
        "slot": slot.number, "kind": kind(slot.kind), "label": slot.label, "in_use": slot.opened,
        "memory_kib": cost.map(|cost| cost.memory_kib()), "passes": cost.map(|cost| cost.passes()),
        "lanes": cost.map(|cost| cost.lanes()),
    })
}

fn kind(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::EncryptionKey => "key",
        SlotKind::Passphrase => "passphrase",
        _ => "unknown",
    }
}
