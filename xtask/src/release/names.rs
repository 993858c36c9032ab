//! The names of the packages on crates.io, where who publishes first under a name has it for ever.

use std::fs;

use anyhow::{Context as _, Result, bail};

use super::builds::PUBLISHED;
use super::changelog::value;
use crate::Workspace;
use crate::step::{self, Done};

/// Each name is free, or what was published under it names our repository.
pub(super) fn check(workspace: &Workspace) -> Result<Done> {
    let manifest = fs::read_to_string(workspace.root.join("Cargo.toml")).context("reading Cargo.toml")?;
    let ours = value(&manifest, "workspace.package", "repository").context("Cargo.toml has no repository")?;
    let mut held = Vec::new();
    for name in PUBLISHED {
        let mut info = step::cargo(workspace, &["info", name, "--registry", "crates-io", "--color", "never"]);
        // Without the network every name would seem to be free.
        info.args(["--config", "net.offline=false"]);
        let output = info.output().with_context(|| format!("starting {info:?}"))?;
        let (about, error) = (str::from_utf8(&output.stdout)?, str::from_utf8(&output.stderr)?);
        if output.status.success() {
            held.push((name, Some(repository(about).to_owned())));
        } else if error.contains(&format!("could not find `{name}` in registry")) {
            held.push((name, None));
        } else {
            let why = error.lines().find(|line| line.starts_with("error: ")).unwrap_or("cargo info fails");
            return Ok(Done::NotRun(format!("crates.io cannot be asked: {why}")));
        }
    }
    Ok(Done::Passed(vec![judged(&held, ours)?]))
}

/// The repository that a package names, as `cargo info` tells it.
fn repository(about: &str) -> &str {
    about.lines().find_map(|line| line.strip_prefix("repository: ")).unwrap_or("no repository")
}

/// What is known of each name, where a name that somebody has comes with their repository; an error if it is not ours.
fn judged(held: &[(&str, Option<String>)], ours: &str) -> Result<String> {
    let mut told = Vec::new();
    for (name, holder) in held {
        match holder {
            None => told.push(format!("{name} is free")),
            Some(repository) if repository == ours => told.push(format!("{name} is ours")),
            Some(repository) => bail!(
                "{name} belongs to another project on crates.io ({repository}): publish ours under a free name, \
                 such as `codexdb` with `[lib] name = \"codex\"`, which is for the owner to choose"
            ),
        }
    }
    Ok(told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://example.org/ours";

    #[test]
    fn a_name_is_fine_where_nobody_has_it_or_we_have() {
        let held = [("codex-crypto", None), ("codex-cli", Some(OURS.to_owned()))];
        assert_eq!(judged(&held, OURS).unwrap(), "codex-crypto is free, codex-cli is ours");
    }

    #[test]
    fn a_name_of_another_project_is_refused_and_what_to_do_is_told() {
        let held = [("codex-crypto", None), ("codex", Some("https://example.org/another".to_owned()))];
        assert_eq!(
            judged(&held, OURS).unwrap_err().to_string(),
            "codex belongs to another project on crates.io (https://example.org/another): publish ours under a free \
             name, such as `codexdb` with `[lib] name = \"codex\"`, which is for the owner to choose"
        );
    }

    #[test]
    fn a_package_that_names_no_repository_is_not_taken_for_ours() {
        let about = "codex #text\nversion: 0.3.0\nrepository: https://example.org/ours\nfeatures:\n";
        assert_eq!(repository(about), OURS);
        assert_eq!(repository("codex\nversion: 0.3.0\n"), "no repository");
        judged(&[("codex", Some(repository("").to_owned()))], OURS).unwrap_err();
    }
}
