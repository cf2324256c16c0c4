//! The contents of packages: the list in `make install`, and those parts of packaging/ that work
//! without the tools that `make dist` installs.

use crate::tidy::files_below;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder_of(test: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(test)
}

/// An empty folder for a test.
fn folder(test: &str) -> PathBuf {
    let folder = folder_of(test);
    // It exists if the test has run before.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a command at the root of the repository, and returns its standard output.
fn run(command: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(command).args(arguments).current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} {arguments:?}: {said}");
    output.stdout
}

/// Runs `make install` or a similar target, with an otherwise empty prefix.
fn make(goal: &str, to: &Path) {
    let to = format!("DESTDIR={}", to.display());
    run("make", &["--silent", goal, &to, "PREFIX=/usr", "BINARY=Makefile"]);
}

/// All links between installed documents, and paths in the manual and the unit, have an installed
/// target.
#[test]
fn what_is_installed_is_whole_and_goes_again() {
    let to = folder("install");
    make("install", &to);
    let files = files_below(&to);
    let mut links = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(file).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            let path = link.split('#').next().unwrap();
            if !path.contains("://") {
                links += 1;
                assert!(file.parent().unwrap().join(path).exists(), "{}: {link}", file.display());
            }
        }
    }
    assert!(links > 10, "{links}");
    let mut paths = 0;
    for file in ["share/man/man1/millstream.1", "lib/systemd/system/millstream.service"] {
        let text = fs::read_to_string(to.join("usr").join(file)).unwrap();
        assert!(!text.contains("/usr/local"), "{file}");
        for word in text.split(char::is_whitespace).filter(|word| word.contains("/usr/")) {
            let path = &word[word.find("/usr/").unwrap() + 1..];
            paths += 1;
            assert!(to.join(path).exists(), "{file}: {word}");
        }
    }
    assert!(paths > 6, "{paths}");
    make("uninstall", &to);
    assert!(files_below(&to).is_empty(), "{:?}", files_below(&to));
}

/// The values of a key, at any depth, in the table of Cargo.toml for this kind of package.
fn values(kind: &str, key: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, table) = manifest.split_once(&format!("[package.metadata.{kind}]\n")).unwrap();
    let table = table.split("\n[").next().unwrap();
    let beginning = format!("{key} = \"");
    let values = table.split(&beginning).skip(1);
    values.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// A package contains what `make install` installs, and a configuration file.
#[test]
fn packages_have_no_list_of_their_own() {
    let staged = ["target/stage/usr/bin/*", "target/stage/usr/share/**/*"];
    assert_eq!(values("deb", "source"), [&staged[..], &["conf/minimal.toml"]].concat());
    assert_eq!(values("deb", "unit-scripts"), ["target/stage/usr/lib/systemd/system"]);
    let staged = [&staged[..], &["target/stage/usr/lib/**/*", "conf/minimal.toml"]].concat();
    assert_eq!(values("generate-rpm", "source"), staged);
    // Every installed file is in one of these three.
    let to = folder("staged");
    make("install", &to);
    let folders = ["usr/bin", "usr/share", "usr/lib/systemd/system"].map(|name| to.join(name));
    for file in files_below(&to) {
        assert!(folders.iter().any(|folder| file.starts_with(folder)), "{}", file.display());
    }
    for key in ["pre_install_script", "pre_uninstall_script", "post_uninstall_script"] {
        run("sh", &["-n", &values("generate-rpm", key)[0]]);
    }
    for script in files_below(&root().join(&values("deb", "maintainer-scripts")[0])) {
        run("sh", &["-n", script.to_str().unwrap()]);
    }
    for script in ["packaging/dist", "tests/packages/run", "tests/packages/contained"] {
        run("bash", &["-n", script]);
    }
}

/// The words in the lines of the Dockerfile's last stage that begin with this instruction.
fn dockerfile(instruction: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap().replace("\\\n", " ");
    let (_, stage) = text.split_once("FROM scratch").unwrap();
    let lines = stage.lines().filter_map(|line| line.strip_prefix(instruction));
    let words = lines.flat_map(|line| line.split([' ', ',', '[', ']']));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The image built without Docker has the same settings as that of the Dockerfile.
#[test]
fn the_image_is_that_of_the_dockerfile() {
    let out = folder("image");
    write_images(&out);
    let config =
        run("tar", &["-xOf", archive(&out, "image-arm64").as_str(), "--wildcards", "blobs/*"]);
    let config = String::from_utf8_lossy(&config);
    let quoted = |words: &[String]| words.join(",");
    for (key, instruction) in [("Entrypoint", "ENTRYPOINT "), ("Cmd", "CMD ")] {
        let want = format!("\"{key}\":[{}]", quoted(&dockerfile(instruction)));
        assert!(config.contains(&want), "{want}");
    }
    for (key, instruction) in [("User", "USER "), ("StopSignal", "STOPSIGNAL ")] {
        let want = format!("\"{key}\":\"{}\"", dockerfile(instruction)[0]);
        assert!(config.contains(&want), "{want}");
    }
    let want = format!("\"{}/tcp\":", dockerfile("EXPOSE ")[0]);
    assert!(config.contains(&want), "{want}");
    let check = dockerfile("HEALTHCHECK ");
    let want = format!("\"Test\":[\"CMD\",{}]", quoted(&check[check.len() - 3..]));
    assert!(config.contains(&want), "{want}");
    for (key, option) in
        [("Interval", "--interval="), ("Timeout", "--timeout="), ("StartPeriod", "--start-period=")]
    {
        let seconds = check.iter().find_map(|word| word.strip_prefix(option)?.strip_suffix('s'));
        let want = format!("\"{key}\":{}000000000", seconds.unwrap());
        assert!(config.contains(&want), "{want}");
    }
    assert!(config.contains("\"variant\":\"v8\""));
}

/// The image contains the licences of the program, of its crates and of the CA certificates.
#[test]
fn images_have_licences() {
    let (out, unpacked) = (folder("image-licences"), folder("image-licences-unpacked"));
    write_images(&out);
    run("tar", &["-xf", &archive(&out, "image-amd64"), "-C", unpacked.to_str().unwrap()]);
    let blobs = files_below(&unpacked.join("blobs"));
    let is_packed = |file: &&PathBuf| fs::read(file).unwrap().starts_with(b"\x1f\x8b");
    let layer = blobs.iter().find(is_packed).unwrap().to_str().unwrap();
    let names = String::from_utf8(run("tar", &["-tzf", layer])).unwrap();
    for name in ["licences/millstream", "licences/mozilla-issuers"] {
        assert!(names.lines().any(|line| line == name), "{name}: {names}");
    }

    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains("\nCOPY --from=build /build/licences /licences\n"));
    let context = fs::read_to_string(root().join(".dockerignore")).unwrap();
    // The Dockerfile takes the licence of musl from there, and packaging/dist from its compiler.
    assert!(root().join("packaging/licences/musl").exists());
    for name in ["LICENSE", "packaging/licences", "packaging/notices"] {
        let is_there = context.lines().any(|line| line.strip_prefix('!') == Some(name));
        assert!(dockerfile.contains(name) && is_there && root().join(name).exists(), "{name}");
    }

    let (_, label) = dockerfile.split_once("LABEL org.opencontainers.image.licenses=\"").unwrap();
    let (label, _) = label.split_once('"').unwrap();
    let config = format!("\"org.opencontainers.image.licenses\":\"{label}\"");
    let mut texts = blobs.iter().filter_map(|file| fs::read_to_string(file).ok());
    assert!(texts.any(|text| text.contains(&config)), "{config}");
    let deny = fs::read_to_string(root().join("deny.toml")).unwrap();
    let allowed = deny.lines().find_map(|line| line.strip_prefix("allow = [")).unwrap();
    let allowed = allowed.split('"').skip(1).step_by(2).chain(["MPL-2.0"]);
    let said: BTreeSet<&str> = label.split(" AND ").collect();
    assert_eq!(said, allowed.collect::<BTreeSet<&str>>());
}

/// Code that a crate has copied from elsewhere has its licence in a subfolder.
#[test]
fn notices_have_licences_of_parts() {
    let said = String::from_utf8(run("rustc", &["-vV"])).unwrap();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let notices = String::from_utf8(run("packaging/notices", &[host])).unwrap();
    assert!(notices.lines().any(|line| line.starts_with("ring v")), "{notices}");
    for part in ["third_party/fiat/LICENSE:", "src/polyfill/once_cell/LICENSE-MIT:"] {
        assert!(notices.lines().any(|line| line == part), "{part}");
    }
}

fn archive(out: &Path, kind: &str) -> String {
    out.join(format!("millstream-1.2.3-{kind}.tar")).to_str().unwrap().to_owned()
}

fn write_images(out: &Path) {
    let licences = out.join("licences");
    fs::create_dir_all(&licences).unwrap();
    fs::copy(root().join("LICENSE"), licences.join("millstream")).unwrap();
    let (to, licences) = (out.to_str().unwrap(), licences.to_str().unwrap());
    let images = ["amd64=Makefile", "arm64=README.md"];
    let arguments =
        ["--version", "1.2.3", "--roots", "LICENSE", "--licences", licences, "--out", to];
    run("packaging/image", &[&arguments[..], &images].concat());
}

/// The name of each blob is its digest, all blobs referred to exist and no others, and the layer
/// has the digest in its configuration. Building again gives the same bytes.
#[test]
fn images_are_layouts_of_oci() {
    let (out, again) = (folder("layout"), folder("layout-again"));
    write_images(&out);
    write_images(&again);
    for (kind, blobs) in [("image-amd64", 3), ("image-arm64", 3), ("image", 7)] {
        let path = archive(&out, kind);
        assert!(fs::read(&path).unwrap() == fs::read(archive(&again, kind)).unwrap(), "{kind}");
        let to = folder("layout-unpacked");
        run("tar", &["-xf", &path, "-C", to.to_str().unwrap()]);
        let (mut present, mut named) = (BTreeSet::new(), BTreeSet::new());
        for file in files_below(&to) {
            let bytes = fs::read(&file).unwrap();
            if file.starts_with(to.join("blobs")) {
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                assert_eq!(hex(&Sha256::digest(&bytes)), name);
                present.insert(name);
            }
            if bytes.starts_with(b"\x1f\x8b") {
                let layer = run("gzip", &["-dc", file.to_str().unwrap()]);
                present.insert(hex(&Sha256::digest(&layer)));
            } else {
                let text = String::from_utf8(bytes).unwrap();
                let digests = text.split("sha256").skip(1);
                named.extend(digests.map(|rest| rest[1..].chars().take(64).collect::<String>()));
            }
        }
        assert_eq!(present, named, "{kind}");
        assert_eq!(files_below(&to.join("blobs")).len(), blobs, "{kind}");
        // Docker's own manifest cannot list several architectures.
        assert_eq!(to.join("manifest.json").exists(), kind != "image");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whatever a forge runs can be run anywhere.
#[test]
fn workflows_only_call_what_anybody_can_call() {
    let mut commands = 0;
    for file in files_below(&root().join(".github/workflows")) {
        let text = fs::read_to_string(&file).unwrap();
        let known = [".ci/run", "make dist", "packaging/release --no-record version"];
        for command in text.lines().filter_map(|line| line.split_once("run: ").map(|(_, c)| c)) {
            commands += 1;
            assert!(known.contains(&command), "{}: {command}", file.display());
        }
        for action in text.lines().filter_map(|line| line.split_once("uses: ").map(|(_, a)| a)) {
            let named = action.split_once('@').expect("what it contains").1;
            let (hash, version) = named.split_once(" # v").expect("a version");
            let is_hash = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_hash, "{}: {action}", file.display());
            assert_eq!(version.split('.').count(), 3, "{}: {action}", file.display());
        }
    }
    assert!(commands > 1, "{commands}");
}

/// Jobs that compile or run third-party code have no write permissions, and no token in their
/// checkout.
#[test]
fn workflows_run_nothing_with_rights() {
    let mut with_rights = 0;
    for file in files_below(&root().join(".github/workflows")) {
        let text = fs::read_to_string(&file).unwrap();
        let (head, jobs) = text.split_once("\njobs:\n").unwrap();
        assert!(head.ends_with("permissions:\n  contents: read"), "{}", file.display());
        let starts = |line: &str| line.starts_with("  ") && line.as_bytes()[2].is_ascii_lowercase();
        let lines: Vec<&str> = jobs.lines().filter(|line| !line.trim().is_empty()).collect();
        for job in lines.chunk_by(|_, next| !starts(next)) {
            let has = |word: &str| job.iter().any(|line| line.contains(word));
            if has(": write") {
                with_rights += 1;
                assert!(!has(" run: ") && !has("actions/checkout@"), "{}", file.display());
            }
            let kept = has("actions/checkout@") && !has("persist-credentials: false");
            assert!(!kept, "{}: the checkout keeps the token", file.display());
            let lenient = has("run: .ci/run") && !has("SKIP_NOTHING: 1");
            assert!(!lenient, "{}: it may skip checks", file.display());
        }
    }
    assert_eq!(with_rights, 1, "the job that releases");
}

/// Copies a script to a folder of its own. The `PATH` there begins with these programs, each a line
/// of `sh`.
fn copy_of(script: &str, test: &str, programs: &[(&str, &str)]) -> Command {
    let to = folder(test);
    let write = |name: &str, text: &[u8]| {
        let file = to.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    };
    for name in [script, "Cargo.toml", "CHANGELOG.md"] {
        write(name, &fs::read(root().join(name)).unwrap());
    }
    for (name, line) in programs {
        write(name, format!("#!/bin/sh\n{line}\n").as_bytes());
    }
    let path = format!("{}:{}", to.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.arg(to.join(script)).env("PATH", path);
    command.env_remove("SKIP_NOTHING").env_remove("GITHUB_REF_TYPE");
    command
}

/// Runs a command. Returns whether it succeeded, and its standard output.
fn outcome(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// A part that could not run is not recorded as passed.
#[test]
fn a_release_records_what_did_not_run() {
    for (status, want) in [(0, "passed, "), (77, "skipped\n"), (1, "FAILED, ")] {
        let exit = format!("exit {status}");
        for part in ["evening", "kubernetes", "watch"] {
            let runner = format!("tests/{part}/run");
            let programs = [("bin/make", "exit 0"), ("bin/git", "echo abc"), (&*runner, &*exit)];
            let mut command = copy_of("packaging/release", "release", &programs);
            let (passed, said) = outcome(command.args(["--no-record", part]));
            let row = format!("{part}: make build, {runner}: {want}");
            assert!(said.contains(&row), "{row}\n{said}");
            assert_eq!(passed, status != 1, "{said}");
        }
    }
}

#[test]
fn a_release_has_the_tag_of_its_version() {
    let version = env!("CARGO_PKG_VERSION");
    let own = format!("v{version}");
    for (tag, is_its) in [(own.as_str(), true), (version, false), ("v9.9.9", false)] {
        let mut command = copy_of("packaging/release", "tag", &[("bin/git", "echo abc")]);
        command.env("GITHUB_REF_TYPE", "tag").env("GITHUB_REF_NAME", tag);
        let (_, said) = outcome(command.args(["--no-record", "version"]));
        assert!(said.contains("version: changelog, "), "{said}");
        let wrong = format!("the tag is {tag}, not {own}\n");
        assert_eq!(said.contains(&wrong), !is_its, "{said}");
    }
}

/// Commands in documents name the files and the image of this version.
#[test]
fn a_release_has_its_version_in_commands() {
    let version = env!("CARGO_PKG_VERSION");
    for (named, is_its) in [(version, true), ("0.0.9", false)] {
        let mut command = copy_of("packaging/release", "named", &[("bin/git", "echo abc")]);
        let docs = folder_of("named").join("docs");
        fs::create_dir_all(&docs).unwrap();
        for page in ["start.md", "packaging.md", "kubernetes.md"] {
            let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
            fs::write(docs.join(page), text.replace(version, named)).unwrap();
        }
        let (_, said) = outcome(command.args(["--no-record", "version"]));
        for page in ["start.md", "packaging.md"] {
            let wrong = format!("docs/{page} names another version: ");
            assert_eq!(!said.contains(&wrong), is_its, "{said}");
        }
    }
}

/// An upgrade restarts a service that runs, if the new version accepts its file. It says so if it
/// does not, or if that fails.
#[test]
fn an_upgrade_restarts_what_can_start() {
    let deb = ("packaging/deb/postinst", ["configure", "0.0.9-1"]);
    let rpm = ("packaging/rpm/postun", ["1", ""]);
    for (script, arguments) in [deb, rpm] {
        for (runs, accepts, restarts, want) in [
            (true, true, true, ""),
            (true, true, false, "millstream.service could not be restarted: "),
            (true, false, true, "millstream.service was not restarted, and runs the old version: "),
            (false, false, true, ""),
        ] {
            let exit = |holds| if holds { "true" } else { "false" };
            let log = "echo \"$*\" >> \"${0%/bin/*}/log\"";
            let active = format!("*is-active*) {} ;;", exit(runs));
            let restart = format!("*try-restart*) {} ;;", exit(restarts));
            let manager = format!("{log}\ncase $* in {active} {restart} esac");
            let programs = [
                ("bin/systemctl", &*manager),
                ("bin/deb-systemd-invoke", &*manager),
                ("bin/millstream", exit(accepts)),
                ("bin/getent", "true"),
            ];
            let mut command = copy_of(script, "upgrade", &programs);
            // A folder that is there if systemd runs.
            let folder = folder_of("upgrade");
            let file = folder.join(script);
            let text = fs::read_to_string(&file).unwrap();
            let there = folder.to_str().unwrap();
            fs::write(&file, text.replace("/run/systemd/system", there)).unwrap();
            let output = command.args(arguments).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{said}");
            assert!(said.starts_with(want) && said.is_empty() == want.is_empty(), "{said}");
            let calls = fs::read_to_string(folder.join("log")).unwrap();
            let has_restarted = calls.contains("try-restart millstream.service\n");
            assert_eq!(has_restarted, runs && accepts, "{calls}");
        }
    }
}

/// Without a network, the checks that need one are skipped. `SKIP_NOTHING` makes that an error.
#[test]
fn ci_skips_only_what_cannot_be_done() {
    let programs = [
        ("bin/make", "echo \"skipped: no network for $1\""),
        ("bin/id", "echo 1000"),
        ("bin/sudo", "printf '%s\\n' \"$*\" >> \"${0%/bin/sudo}/log\""),
        ("bin/apt-get", "exit 1"),
        ("bin/rustup", "exit 1"),
    ];
    let mut command = copy_of(".ci/run", "ci", &programs);
    let (passed, said) = outcome(&mut command);
    assert!(passed && said.contains("skipped: no network for msrv\n"), "{said}");
    let (passed, said) = outcome(command.env("SKIP_NOTHING", "1"));
    assert!(!passed && said.contains("skipped: no network for races\n"), "{said}");
    let asked = fs::read_to_string(folder_of("ci").join("log")).unwrap();
    assert!(asked.starts_with("-n apt-get update\n-n apt-get install -y gcc-"), "{asked}");
}
