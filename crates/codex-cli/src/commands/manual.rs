//! `completions` and `man`: what shells and manuals know of the command, made from its definition.

use std::fs;
use std::path::Path;

use clap_mangen::Man;
use serde_json::json;

use crate::args::{self, Completions};
use crate::exit::Failure;
use crate::output::Output;

pub(super) fn completions(args: &Completions, output: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::definition(), "codex", &mut script);
    let script = String::from_utf8_lossy(&script);
    output.result(script.trim_end(), &json!({"shell": args.shell.to_string(), "script": script}))
}

/// Prints the manual page of the command, or writes those of all commands to a folder.
pub(super) fn man(args: &args::Man, output: &mut Output) -> Result<(), Failure> {
    let mut definition = args::definition();
    // Gives commands their full names, and the options that go with all of them.
    definition.build();
    let Some(folder) = &args.dir else {
        let page = page(&definition)?;
        return output.result(page.trim_end(), &json!({"page": page}));
    };
    fs::create_dir_all(folder).map_err(|error| Failure::io(format!("make {}", folder.display()), error))?;
    let mut written = 0;
    write(&definition, folder, &mut written)?;
    let text = format!("{written} pages written to {}", folder.display());
    output.result(&text, &json!({"pages": written, "folder": folder.to_string_lossy()}))
}

fn write(command: &clap::Command, folder: &Path, written: &mut usize) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command)?)
        .map_err(|error| Failure::io(format!("write {}", path.display()), error))?;
    *written += 1;
    let mut deeper = command.get_subcommands().filter(|command| !command.is_hide_set());
    deeper.try_for_each(|command| write(command, folder, written))
}

fn page(command: &clap::Command) -> Result<String, Failure> {
    let mut page = Vec::new();
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    Man::new(command.clone())
        .title(name.to_uppercase())
        .source(concat!("codex ", env!("CARGO_PKG_VERSION")))
        .manual("CodexDB")
        .render(&mut page)
        .map_err(|error| Failure::io("write a manual page", error))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
