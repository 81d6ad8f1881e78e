//! Runs the commands of `docs/chapter.md` in their order with a cluster of their own, and compares what they print with
//! the document.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::harness::cluster_lock;
use crate::scenarios::harness::{binary, matches_pattern};

/// A script that runs all scripts of a folder, and stores their output and exit codes there.
const RUN_ALL: &str = r#"
set -u
for script in "$1"/*.sh; do
  sed -i "s#localhost:8081#127.0.0.1:$BASE_PORT#g; s#localhost:8082#127.0.0.1:$((BASE_PORT + 1))#g; \
    s#localhost:8083#127.0.0.1:$((BASE_PORT + 2))#g; s#target/release/#$UNBUNDLED_BIN/#g" "$script"
  bash -euo pipefail "$script" >"${script%.sh}.out" 2>"${script%.sh}.err"
  echo $? >"${script%.sh}.code"
done
"#;

/// A claim of the document: its heading, the command, and the expected output.
struct Claim {
    heading: String,
    command: String,
    printed: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The claims that have a command, in order.
fn claims(text: &str) -> Vec<Claim> {
    let from = text.find("## What is claimed, and shown").expect("docs/chapter.md has no section with claims");
    let section = text[from..].split("\n## ").next().unwrap_or_default();
    let parts = section.split("\n### ").skip(1);
    let block = |part: &str, kind: &str| {
        let begin = format!("```{kind}\n");
        let from = part.find(&begin)? + begin.len();
        Some(part[from..from + part[from..].find("```")?].to_owned())
    };
    let claim = |part: &str| {
        let heading = part.lines().next().unwrap_or_default().to_owned();
        let Some(command) = block(part, "sh") else {
            assert!(part.contains("Not yet"), "{heading}: neither a command nor `Not yet`");
            return None;
        };
        let printed = block(part, "text").unwrap_or_else(|| panic!("{heading}: the output of the command is missing"));
        Some(Claim { heading, command, printed })
    };
    parts.filter_map(claim).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_of_the_chapter_prints_what_the_chapter_shows() {
    let _lock = cluster_lock().await;
    let claims = claims(&fs::read_to_string(root().join("docs/chapter.md")).unwrap());
    assert!(claims.len() >= 8, "only {} claims have commands", claims.len());
    let folder = tempfile::tempdir().unwrap();
    let file = |at: usize, extension: &str| folder.path().join(format!("{at}.{extension}"));
    for (at, claim) in claims.iter().enumerate() {
        fs::write(file(at, "sh"), &claim.command).unwrap();
    }
    let bin = binary("unbundled").parent().unwrap().to_owned();
    let mut cluster = Command::new(root().join("infra/local/with-cluster.sh"));
    cluster.args(["bash", "-c", RUN_ALL, "run-all"]).arg(folder.path()).current_dir(root());
    cluster.env("UNBUNDLED_BIN", bin).env_remove("UNBUNDLED_LOCAL").stdin(Stdio::null());
    let done = tokio::task::spawn_blocking(move || cluster.output()).await.unwrap().unwrap();
    for (at, Claim { heading, command, printed }) in claims.iter().enumerate() {
        let read = |extension| fs::read_to_string(file(at, extension)).unwrap_or_else(|error| error.to_string());
        let (out, err) = (read("out"), read("err"));
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        let (found, expected) = (lines(&out), lines(printed));
        let same = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(line, pattern)| matches_pattern(line, pattern));
        assert!(
            same && read("code").trim() == "0",
            "{heading}\n{command}\nprinted\n{out}\n{err}\ninstead of\n{printed}"
        );
    }
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}{errors}", String::from_utf8_lossy(&done.stdout));
}
