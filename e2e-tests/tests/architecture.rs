//! The rules of ARCHITECTURE.md, as tests over `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The maximum number of lines of a file before its tests.
const FILE_LINES_MAX: usize = 400;
/// The maximum number of lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// The license of each dependency must offer at least one of these.
const LICENSES: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "BSD-3-Clause",
    "BSD-2-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "BSL-1.0",
    "MIT-0",
];
/// Crates that bring a second TLS backend or need cmake.
const BANNED: [&str; 4] = ["openssl-sys", "native-tls", "aws-lc-sys", "cmake"];

/// The modules around the domain of a service, with the same names in every service.
const SHELL: [&str; 7] = ["audit", "bin", "http", "lib", "main", "metrics", "service"];
/// The files of services that talk to the outside in addition.
const EDGES: [&str; 7] = [
    "services/exchange-rate/src/feed.rs",
    "services/exchange-rate/src/feed/fetch.rs",
    "services/exchange-rate/src/feed/metrics.rs",
    "services/exchange-rate/src/feed/settings.rs",
    "services/exchange-rate/src/import.rs",
    "services/purchase/src/rates_copy.rs",
    "services/purchase/src/rates_copy/metrics.rs",
];

/// The crates with test harnesses, stores in memory and injected faults.
const TEST_CRATES: [&str; 2] = ["conformance", "stage-harness"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["metadata", "--format-version=1", "--locked", "--filter-platform=host-tuple"]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The normal dependencies of each crate of the workspace.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<_> = metadata["workspace_members"].as_array().unwrap().iter().map(text).collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let own = packages.filter(|package| members.contains(&text(&package["id"])));
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"].is_null()).map(|dependency| text(&dependency["name"])).collect()
    };
    own.map(|package| (text(&package["name"]), normal(package))).collect()
}

/// The source files of the workspace: the path from the root, and the lines before a test module.
fn sources() -> Vec<(String, Vec<String>)> {
    let (root, mut folders, mut found) = (root(), Vec::new(), Vec::new());
    folders.extend(["shared", "services", "operator", "examples", "e2e-tests"].map(|folder| root.join(folder)));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
                let lines = fs::read_to_string(&path).unwrap();
                let lines = lines.lines().take_while(|line| is_test || !line.starts_with("#[cfg(test)]"));
                found.push((name, lines.map(str::to_owned).collect()));
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// The lines of code that contain one of the words, without comments and tests.
fn mentions(is_checked: impl Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, lines) in sources().into_iter().filter(|(name, _)| is_checked(name) && !is_test(name)) {
        for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                found.push(format!("{name}:{number} has {word}"));
            }
        }
    }
    found
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.starts_with("e2e-tests/") || is_for_tests(name)
}

/// Whether a file belongs to a crate that only tests use.
fn is_for_tests(name: &str) -> bool {
    TEST_CRATES.iter().any(|package| name.starts_with(&format!("shared/{package}/")))
}

/// The names of all services.
fn services() -> Vec<&'static str> {
    unbundled::services::all(None).iter().map(web::ServiceDefinition::name).collect()
}

/// The folders with the sources of all services, including the examples.
fn service_folders() -> Vec<String> {
    let examples = fs::read_dir(root().join("examples")).unwrap();
    let examples = examples.map(|entry| format!("examples/{}/src/", entry.unwrap().file_name().to_string_lossy()));
    services().into_iter().map(|service| format!("services/{service}/src/")).chain(examples).collect()
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn services_never_import_each_other() {
    let dependencies = dependencies(&metadata());
    // `unbundled` runs all services; `replay` reads the history of the ECB that is built into exchange-rate.
    let may = ["unbundled", "replay", "e2e-tests"];
    for (name, uses) in dependencies.iter().filter(|(name, _)| !may.contains(&name.as_str())) {
        let services: Vec<_> = services().into_iter().filter(|service| uses.contains(*service)).collect();
        assert!(services.is_empty(), "{name} imports {services:?}");
    }
}

#[test]
fn programs_contain_no_test_crate_and_no_crate_has_features() {
    let dependencies = dependencies(&metadata());
    let is_program = |name: &str| name != "e2e-tests" && !TEST_CRATES.contains(&name);
    for (name, uses) in dependencies.iter().filter(|(name, _)| is_program(name)) {
        let found: Vec<_> = TEST_CRATES.iter().filter(|package| uses.contains(**package)).collect();
        assert!(found.is_empty(), "{name} imports {found:?}");
    }
    for folder in ["shared", "services", "operator", "examples"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let manifest = fs::read_to_string(entry.unwrap().path().join("Cargo.toml")).unwrap();
            assert!(
                !manifest.contains("[features]"),
                "tests and programs are built with the same features: {manifest}"
            );
        }
    }
}

#[test]
fn pure_crates_import_no_runtime_and_runtime_crates_no_business_types() {
    let dependencies = dependencies(&metadata());
    let check = |name: &str, banned: &[&str]| {
        let uses: Vec<_> = banned.iter().filter(|banned| dependencies[name].contains(**banned)).collect();
        assert!(uses.is_empty(), "{name} imports {uses:?}");
    };
    let runtime = ["tokio", "sqlx", "actix", "actix-web", "lapin", "reqwest", "tracing"];
    for pure in ["stage", "money", "contracts"] {
        check(pure, &runtime);
    }
    check("dataflow", &["money", "contracts", "actix-web", "web"]);
    check("web", &["money", "contracts", "sqlx", "lapin"]);
    check("cluster", &["money", "contracts", "sqlx", "lapin", "actix"]);
    for client in ["operator-client", "replay", "load"] {
        check(client, &["dataflow", "sqlx", "lapin", "actix"]);
    }
    for service in services() {
        check(service, &["sqlx", "lapin"]);
    }
}

#[test]
fn the_files_that_talk_to_the_outside_exist() {
    let missing: Vec<_> = EDGES.iter().filter(|file| !root().join(file).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn domain_files_use_no_runtime_and_no_clock() {
    let folders = service_folders();
    let is_domain = |name: &str| {
        let file = folders.iter().find_map(|folder| name.strip_prefix(folder.as_str()));
        let module = file.and_then(|file| file.split(['/', '.']).next());
        module.is_some_and(|module| !SHELL.contains(&module) && !EDGES.contains(&name))
            || ["shared/stage/", "shared/money/"].iter().any(|start| name.starts_with(start))
    };
    assert_none(&mentions(
        is_domain,
        &[
            "tokio",
            "sqlx",
            "actix",
            "lapin",
            "Utc::now",
            "Instant::now",
            "SystemTime",
            "rand::",
            "tracing",
            "async ",
            "HashMap",
        ],
    ));
}

#[test]
fn only_the_stores_contain_sql() {
    let words = ["SELECT ", "INSERT INTO", "UPDATE SET", "CREATE TABLE", "DELETE FROM", "sqlx::"];
    assert_none(&mentions(|name| !name.starts_with("shared/dataflow/src/store"), &words));
}

#[test]
fn only_one_module_talks_to_the_broker() {
    assert_none(&mentions(|name| !name.starts_with("shared/dataflow/src/rabbitmq"), &["lapin::"]));
}

#[test]
fn only_two_files_contain_actors() {
    let actors = ["shared/dataflow/src/reader.rs", "shared/dataflow/src/ingress.rs"];
    assert_none(&mentions(|name| !actors.contains(&name), &["Actor for"]));
}

#[test]
fn only_the_api_module_registers_routes() {
    assert_none(&mentions(|name| !name.starts_with("shared/web/src/api"), &["web::resource(", ".route("]));
}

#[test]
fn production_code_contains_no_panicking_calls_and_no_debug_leftovers() {
    assert_none(&mentions(
        |_| true,
        &["todo!(", "unimplemented!(", ".unwrap()", ".expect(", "panic!(", "dbg!(", "thread::sleep"],
    ));
}

#[test]
fn files_and_functions_stay_short() {
    let mut long = Vec::new();
    for (name, lines) in sources() {
        if lines.len() > FILE_LINES_MAX && !is_test(&name) {
            long.push(format!("{name}: {} lines before its tests", lines.len()));
        }
        let mut open: Vec<(String, usize)> = Vec::new();
        for (number, line) in (1..).zip(&lines) {
            let indent: String = line.chars().take_while(|c| *c == ' ').collect();
            let start = line.trim_start();
            if start.split('(').next().is_some_and(|head| head.starts_with("fn ") || head.contains(" fn "))
                && !start.starts_with("//")
                && !start.ends_with(';')
            {
                open.push((format!("{indent}}}"), number));
            }
            // A declaration without a body that spans several lines.
            let declared = |end: &str| {
                line.strip_prefix(end.trim_end_matches('}')).is_some_and(|l| l.starts_with(')') && l.ends_with(';'))
            };
            if let Some((_, from)) = open.pop_if(|(end, _)| line == end || declared(end))
                && number - from > FUNCTION_LINES_MAX
            {
                long.push(format!("{name}:{from}: a function of {} lines", number - from));
            }
        }
    }
    assert_none(&long);
}

#[test]
fn every_crate_uses_the_lints_of_the_workspace() {
    for folder in ["shared", "services", "operator", "examples"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let manifest = fs::read_to_string(entry.unwrap().path().join("Cargo.toml")).unwrap();
            assert!(manifest.contains("[lints]\nworkspace = true"), "{manifest}");
        }
    }
}

/// The imports of the modules of each crate in `operator`, from one path to another; the root has an empty path. A module
/// with modules inside counts as importing them.
fn imports() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut crates = BTreeMap::<String, BTreeMap<String, String>>::new();
    for (name, lines) in sources().into_iter().filter(|(name, _)| !is_test(name)) {
        let file = name.strip_prefix("operator/").and_then(|name| name.split_once("/src/"));
        let Some((package, file)) = file else { continue };
        let module = file.trim_end_matches(".rs").replace('/', "::");
        let module = if module == "lib" { String::new() } else { module };
        crates.entry(package.to_owned()).or_default().insert(module, lines.join("\n"));
    }
    let outer = |path: &str| path.rsplit_once("::").map_or_else(String::new, |(outer, _)| outer.to_owned());
    let of_crate = |modules: BTreeMap<String, String>| {
        let mut found = BTreeSet::new();
        for (module, text) in &modules {
            found.insert((outer(module), module.clone()));
            for (start, from) in [("use crate::", String::new()), ("use super::", outer(module))] {
                for path in text.split(start).skip(1).flat_map(|rest| imported(rest.split(';').next().unwrap())) {
                    let mut path = if from.is_empty() { path } else { format!("{from}::{path}") };
                    while !modules.contains_key(&path) {
                        path = outer(&path);
                    }
                    found.insert((module.clone(), path));
                }
            }
        }
        found.retain(|(module, path)| module != path);
        found
    };
    crates.into_iter().map(|(package, modules)| (package, of_crate(modules))).collect()
}

/// The paths of a `use` line, after its `crate::` or `super::`.
fn imported(path: &str) -> Vec<String> {
    let Some(paths) = path.strip_prefix('{').and_then(|paths| paths.strip_suffix('}')) else {
        return vec![path.to_owned()];
    };
    let mut depth = 0;
    let is_between = |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    };
    paths.split(is_between).map(|path| path.trim().to_owned()).filter(|path| !path.is_empty()).collect()
}

#[test]
fn no_module_imports_in_a_circle() {
    let crates = imports();
    assert!(crates.len() > 2 && crates.values().all(|imports| imports.len() > 5), "the imports were not found");
    for (package, mut imports) in crates {
        // What nothing imports, or what imports nothing, is in no circle.
        let mut before = usize::MAX;
        while imports.len() < before {
            before = imports.len();
            let all = imports.clone();
            imports.retain(|(from, to)| {
                all.iter().any(|(_, end)| end == from) && all.iter().any(|(begin, _)| begin == to)
            });
        }
        assert!(imports.is_empty(), "{package} has modules that import each other in a circle: {imports:#?}");
    }
}

#[test]
fn dependencies_are_free_software_without_a_second_tls_backend() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let (name, license) = (text(&package["name"]), text(&package["license"]));
        let offers = |allowed: &&str| license.split([' ', '/', '(', ')']).any(|word| word == *allowed);
        assert!(LICENSES.iter().any(offers), "{name} has the license {license:?}");
        assert!(!BANNED.contains(&name.as_str()), "{name} is banned");
    }
}
