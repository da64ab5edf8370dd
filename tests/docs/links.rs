//! Every relative link leads to a file of the project, and to a heading of it where it names one.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Piece, documents, pieces, read, root};

/// The targets of the links in a text: `[words](target)`.
fn links(text: &str) -> Vec<String> {
    let in_line = |line: &str| {
        let after = line.split("](").skip(1).filter_map(|after| after.split_once(')')).map(|(target, _)| target.to_string());
        after.collect::<Vec<_>>()
    };
    let lines = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Line(line) => Some(line),
        Piece::Block(..) => None,
    });
    lines.flat_map(in_line).collect()
}

/// The fragments by which GitHub knows the headings of a text.
fn fragments(text: &str) -> Vec<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut fragments = Vec::new();
    for piece in pieces(text) {
        let Piece::Line(line) = piece else { continue };
        let Some(heading) =
            line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')).and_then(|rest| rest.strip_prefix(' '))
        else {
            continue;
        };
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let fragment: String = kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
        let nth = times.entry(fragment.clone()).or_default();
        fragments.push(if *nth == 0 { fragment } else { format!("{fragment}-{nth}") });
        *nth += 1;
    }
    fragments
}

/// What is wrong with a link from a document, if something is.
fn fault(document: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (path, fragment) = target.split_once('#').map_or((target, None), |(path, fragment)| (path, Some(fragment)));
    let mut found = if path.is_empty() { PathBuf::new() } else { document.parent().expect("a folder").to_path_buf() };
    for component in Path::new(if path.is_empty() { document.to_str().expect("text") } else { path }).components() {
        match component {
            Component::ParentDir if found.pop() => {}
            Component::Normal(name) => found.push(name),
            _ => return Some("it leads out of the project".into()),
        }
    }
    if !root().join(&found).exists() {
        return Some(format!("there is no {}", found.display()));
    }
    let fragment = fragment?;
    (!fragments(&read(&found)).iter().any(|known| known == fragment)).then(|| format!("{} has no such heading", found.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for document in documents() {
        for target in links(&read(&document)) {
            let fault = fault(&document, &target);
            assert_eq!(fault, None, "{}: {target}", document.display());
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn every_page_is_linked_from_the_readme() {
    let targets = links(&read("README.md"));
    for document in documents().iter().filter(|document| document.as_os_str() != "README.md") {
        let path = document.to_str().expect("text");
        assert!(targets.iter().any(|target| target.split('#').next() == Some(path)), "{path}");
    }
}

/// The check itself can fail.
#[test]
fn a_link_to_nothing_is_found() {
    let at = |target: &str| fault(Path::new("docs/auto.md"), target).is_some();
    let broken = ["nothing.md", "../nothing", "../../README.md", "#nothing", "settings.md#nothing", "/etc/hosts"];
    let whole = ["settings.md", "../README.md", "#auto", "settings.md#exit-codes", "https://example.org/nothing"];
    assert_eq!(broken.map(at), [true; 6]);
    assert_eq!(whole.map(at), [false; 5]);
    assert_eq!(links("a [b](c.md) and [d](e#f)\n```\n[g](h)\n```\n"), ["c.md", "e#f"]);
    assert_eq!(fragments("# A, `b` & c!\n## D\n```\n# e\n```\n## D\n"), ["a-b--c", "d", "d-1"]);
}
