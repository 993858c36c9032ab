//! The settings of a desktop program: in the user's folder, typed, with defaults, brought up to date when a new release
//! changes their shape, and watched by the windows that show them.
//!
//! Run with `CODEX_HOME=$(mktemp -d) cargo run -p codex --example desktop_settings`: a program of yours leaves
//! `CODEX_HOME` to its user, and then the database is `~/.codex/editor.db`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::thread;

use codex::{BackupPolicy, KeyChange, Options, Store};
use serde::{Deserialize, Serialize};

/// What a window looks like. A field that an older release did not write has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Appearance {
    theme: Theme,
    font_size: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Theme {
    Light,
    Dark,
}

impl Default for Appearance {
    fn default() -> Self {
        Self { theme: Theme::Light, font_size: 11 }
    }
}

/// The settings, whichever release wrote them.
struct Settings(Store);

impl Settings {
    const APPEARANCE: &str = "settings:appearance";
    const VERSION: &str = "version";
    /// Of the shape of the records, raised when a release changes it.
    const CURRENT: u32 = 2;

    fn open() -> Result<Self, Box<dyn Error>> {
        // A copy at each start, should a plug-in or a user make a mess of it.
        let store = Options::new().backups(BackupPolicy::keep(3)).open_home("editor")?;
        let settings = Self(store);
        settings.upgrade()?;
        Ok(settings)
    }

    /// Brings older records into the shape of this release: whole, or not at all.
    fn upgrade(&self) -> Result<(), Box<dyn Error>> {
        let from = self.0.try_transaction(|tx| -> Result<u32, Box<dyn Error>> {
            let from = tx.get(Self::VERSION)?.unwrap_or(1);
            if from > Self::CURRENT {
                return Err(format!("a newer release wrote these settings, in version {from}").into());
            }
            // Release 1 kept the theme as a record of its own: `dark` was true or false.
            if from < 2
                && let Some(dark) = tx.get::<bool>("dark")?
            {
                let theme = if dark { Theme::Dark } else { Theme::Light };
                tx.set(Self::APPEARANCE, &Appearance { theme, ..Appearance::default() })?;
                tx.delete("dark")?;
            }
            if from < Self::CURRENT {
                tx.set(Self::VERSION, &Self::CURRENT)?;
            }
            Ok(from)
        })?;
        println!("settings of version {from}, now {}", Self::CURRENT);
        Ok(())
    }

    fn appearance(&self) -> codex::Result<Appearance> {
        Ok(self.0.get(Self::APPEARANCE)?.unwrap_or_default())
    }

    /// Changes some of it and leaves the rest, also if another window changes that at the same time.
    fn change_appearance(&self, change: impl Fn(&mut Appearance)) -> codex::Result<()> {
        self.0.transaction(|tx| {
            let mut appearance = tx.get(Self::APPEARANCE)?.unwrap_or_default();
            change(&mut appearance);
            tx.set(Self::APPEARANCE, &appearance)
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var_os("CODEX_HOME").is_none() {
        return Err("set CODEX_HOME to a folder for this example, so that it leaves yours alone".into());
    }
    as_release_1_left_it()?;

    let settings = Settings::open()?;
    println!("{:?}", settings.appearance()?);

    // A window shows what is set, and from then on follows the changes: watch first, then read.
    let changes = settings.0.watch("settings:");
    let mut shown = settings.appearance()?;
    let window = thread::spawn(move || -> codex::Result<Appearance> {
        for event in changes {
            shown = match event?.change {
                KeyChange::Set(entry) if entry.key == Settings::APPEARANCE.as_bytes() => entry.decode()?,
                KeyChange::Deleted(_) | KeyChange::Cleared => Appearance::default(),
                _ => continue,
            };
            println!("the window shows {shown:?}");
        }
        Ok(shown)
    });

    settings.change_appearance(|appearance| appearance.font_size = 14)?;
    settings.change_appearance(|appearance| appearance.theme = Theme::Light)?;

    // Closing ends the window's watch, after the last change.
    settings.0.close()?;
    let shown = window.join().map_err(|_| "the window panicked")??;

    let settings = Settings::open()?;
    println!("the last thing it showed is what is set: {}", settings.appearance()? == shown);
    settings.0.close()?;
    Ok(())
}

fn as_release_1_left_it() -> codex::Result<()> {
    let store = Options::new().open_home("editor")?;
    store.clear()?;
    store.set("dark", &true)?;
    store.close()
}
