//! What a repository has, as the hub lists it.

use std::path::{Component, Path};

use serde::Deserialize;
use ureq::http::StatusCode;

use crate::error::{Error, Result};
use crate::setup::download::client::{Client, Fault};
use crate::shown::{Shown, shown};

/// What is fetched, and when nobody says otherwise what mlx-lm reads: all but the weights in other programs' formats.
const OTHER_WEIGHTS: [&str; 9] = ["gguf", "bin", "pt", "pth", "onnx", "h5", "msgpack", "ckpt", "ot"];

/// The longest list, in bytes.
const MOST_BYTES: u64 = 32 << 20;

/// How many of a repository's files an error names.
const MOST_NAMED: usize = 8;

pub(crate) struct Listing {
    pub repo: String,
    pub commit: String,
    pub files: Vec<RemoteFile>,
    /// Whether it is of one file that was asked for.
    is_one_file: bool,
}

pub(crate) struct RemoteFile {
    pub path: String,
    pub size: u64,
    /// Its name in the cache.
    pub etag: String,
}

impl Listing {
    pub(crate) fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    pub(super) fn title(&self) -> Shown {
        match self.files.as_slice() {
            [file] if self.is_one_file => Shown::line(&file.path),
            _ => Shown::line(&self.repo),
        }
    }

    pub(super) fn url(&self, client: &Client, file: &RemoteFile) -> String {
        resolve_url(client, &self.repo, &self.commit, &file.path)
    }
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
}

pub(super) fn ask(client: &Client, repo: &str, file: Option<&str>) -> Result<Listing> {
    let url = format!("{}/api/models/{}/revision/main?blobs=true", client.endpoint(), quoted(repo));
    let mut answer = client.get(&url, 0).map_err(|fault| failed(client, repo, fault))?;
    let body = answer.response.body_mut().with_config().limit(MOST_BYTES).read_to_vec();
    let info: Info = body.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| no_hub(client))?;
    let is_commit = !info.sha.is_empty() && info.sha.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_commit || !info.siblings.iter().all(|sibling| is_inside(&sibling.rfilename)) {
        return Err(no_hub(client));
    }
    let is_wanted = |sibling: &&Sibling| match file {
        Some(file) => sibling.rfilename == file,
        None => !Path::new(&sibling.rfilename).extension().is_some_and(|end| OTHER_WEIGHTS.iter().any(|other| end == *other)),
    };
    let wanted: Vec<_> = info.siblings.iter().filter(is_wanted).collect();
    if let Some(file) = file.filter(|_| wanted.is_empty()) {
        return Err(no_file(client, repo, file, &info.siblings));
    }
    if file.is_none() && !wanted.iter().any(|sibling| sibling.rfilename == "config.json") {
        return Err(Error::Setup {
            reason: shown!("`{repo}` at {} has no config.json: no model for mlx-lm", client.host()),
            mend: "choose one of mlx-community".into(),
        });
    }
    let describe = |sibling: &&Sibling| remote_file(client, repo, &info.sha, sibling);
    let files = wanted.iter().map(describe).collect::<Result<Vec<_>>>()?;
    Ok(Listing { repo: repo.into(), commit: info.sha.clone(), files, is_one_file: file.is_some() })
}

/// A mirror may list names alone: then it is asked for each.
fn remote_file(client: &Client, repo: &str, commit: &str, sibling: &Sibling) -> Result<RemoteFile> {
    let path = sibling.rfilename.clone();
    let listed = sibling.lfs.as_ref().map_or(sibling.blob_id.clone(), |lfs| lfs.sha256.clone());
    let (size, etag) = match (sibling.size, listed) {
        (Some(size), Some(etag)) => (size, etag),
        _ => {
            let url = resolve_url(client, repo, commit, &path);
            let answer = client.head(&url).map_err(|fault| failed(client, repo, fault))?;
            let length = answer.response.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
            answer.size.or(length).zip(answer.etag).ok_or_else(|| no_hub(client))?
        }
    };
    let is_name = !etag.is_empty() && etag.len() <= 128 && etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_name { Ok(RemoteFile { path, size, etag }) } else { Err(no_hub(client)) }
}

/// Whether a path stays within its folder.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && !path.contains('\0') && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn resolve_url(client: &Client, repo: &str, commit: &str, path: &str) -> String {
    format!("{}/{}/resolve/{commit}/{}", client.endpoint(), quoted(repo), quoted(path))
}

/// As part of a URL's path.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What a failure to reach the hub means, and what to do.
pub(super) fn failed(client: &Client, repo: &str, fault: Fault) -> Error {
    let host = client.host();
    let (reason, mend) = match fault {
        Fault::Network(why) => (
            shown!("the hub cannot be reached: {why}"),
            "check the network, and HTTPS_PROXY if there is a proxy; or give the path of a model that you fetched by other means"
                .into(),
        ),
        Fault::Status(_, Some(code)) if code == "GatedRepo" => (
            shown!("`{repo}` is given only to those who have accepted its terms"),
            shown!("accept them at {}/{repo}, and set HF_TOKEN to a token of yours", client.endpoint()),
        ),
        Fault::Status(status, code) if status == StatusCode::UNAUTHORIZED || code.as_deref() == Some("RepoNotFound") => {
            let mend = match client.has_token() {
                true => "check its name, and that your token may read it".into(),
                false => "check its name; if it is private, set HF_TOKEN to a token that may read it".into(),
            };
            (shown!("{host} has no model `{repo}` for you"), mend)
        }
        Fault::Status(status, _) => {
            (shown!("{host} answers with HTTP {} for `{repo}`", status.as_u16()), "try again later, or check HF_ENDPOINT".into())
        }
        Fault::Other(why) => (why, "check HF_ENDPOINT".into()),
    };
    Error::Setup { reason, mend }
}

fn no_hub(client: &Client) -> Error {
    Error::Setup {
        reason: shown!("{} does not answer as a Hugging Face hub", client.host()),
        mend: "check HF_ENDPOINT, and whether a proxy or a login page stands between".into(),
    }
}

fn no_file(client: &Client, repo: &str, file: &str, siblings: &[Sibling]) -> Error {
    let mut names: Vec<_> =
        siblings.iter().map(|sibling| sibling.rfilename.as_str()).filter(|name| name.ends_with(".gguf")).collect();
    names.sort_by_key(|name| strsim::damerau_levenshtein(name, file));
    names.truncate(MOST_NAMED);
    let mend = if names.is_empty() {
        shown!("it has no GGUF files; choose another repository")
    } else {
        shown!("choose one that it has, such as {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
    };
    Error::Setup { reason: shown!("`{repo}` at {} has no file `{file}`", client.host()), mend }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_cache() {
        for (path, expected) in [
            ("a.json", true),
            ("a/b.json", true),
            ("", false),
            ("/etc/passwd", false),
            ("../a", false),
            ("a/../../b", false),
            ("./a", false),
            ("a\0b", false),
        ] {
            assert_eq!(is_inside(path), expected, "{path:?}");
        }
    }

    #[test]
    fn a_path_is_quoted_for_a_url() {
        assert_eq!(quoted("org/na-me_1.5/ä b?#%"), "org/na-me_1.5/%C3%A4%20b%3F%23%25");
    }
}
