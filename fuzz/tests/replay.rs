//! Every target over its seeds, and over every input that once broke it (`fuzz/regressions/TARGET/`).

use std::fs;
use std::path::{Path, PathBuf};

use codex_fuzz::TARGETS;

/// The files of a folder below the package's, in order; none where there is no such folder.
fn files_of(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.sort();
    files
}

#[test]
fn no_seed_and_nothing_that_once_broke_a_target_breaks_it() {
    for (name, run) in TARGETS {
        let seeds = files_of("seeds", name);
        assert!(!seeds.is_empty(), "{name} has seeds");
        for path in seeds.into_iter().chain(files_of("regressions", name)) {
            // Shown by the test's output if what follows panics.
            println!("{}", path.display());
            run(&fs::read(&path).expect("the file can be read"));
        }
        run(b"");
    }
}

#[test]
fn every_folder_of_inputs_belongs_to_a_target_and_every_target_to_a_program() {
    let targets: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |folder: &str| -> Vec<String> {
        let names = files_of(folder, "").into_iter();
        names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
    };
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("seeds"), targets);
    assert!(names("regressions").iter().all(|name| targets.contains(name)));
}
