//! Each kind of forbidden arrow is planted in a copy of this tree's manifests and sources, and must
//! be found by name. If one of these failed, a wall of the house could fall unseen.

use std::fs;

use tempfile::TempDir;

use super::{check, links, rooms, table};
use crate::finding::{Finding, as_lines};
use crate::tree::{SourceFile, Tree};

/// The manifests of this workspace over empty sources, and a server with a few rooms.
fn house() -> (TempDir, Tree) {
    let this = Tree::of_this_workspace();
    let folder = TempDir::new().expect("a temporary folder");
    let tree = Tree::at(folder.path());
    write(&tree, "Cargo.toml", &this.read("Cargo.toml").expect("the workspace's manifest"));
    for room in table::ROOMS {
        let manifest = format!("{}/Cargo.toml", room.folder);
        write(&tree, &manifest, &this.read(&manifest).expect("a member's manifest"));
        write(&tree, &format!("{}/src/lib.rs", room.folder), "//! Empty.\n#![no_std]\n");
        write(&tree, &format!("{}/src/main.rs", room.folder), "//! Empty.\nfn main() {}\n");
    }
    for suite in fs::read_dir(this.root().join("tests")).expect("the suites").flatten() {
        if suite.path().is_dir() {
            let name = suite.file_name().to_string_lossy().into_owned();
            write(&tree, &format!("tests/{name}/main.rs"), "//! Empty.\nfn main() {}\n");
        }
    }
    (folder, tree)
}

fn write(tree: &Tree, path: &str, text: &str) {
    let path = tree.root().join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    let mut file = fs::File::create(path).expect("a file");
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
}

/// Adds lines behind one heading of a manifest.
fn add_dependency(tree: &Tree, manifest: &str, heading: &str, line: &str) {
    let text = tree.read(manifest).expect("a manifest");
    let with = if text.contains(heading) {
        text.replace(heading, &format!("{heading}\n{line}"))
    } else {
        format!("{text}\n{heading}\n{line}\n")
    };
    write(tree, manifest, &with);
}

/// What `plant` adds to the findings of the untouched copy.
fn found_after(plant: impl FnOnce(&Tree)) -> Vec<Finding> {
    let (_folder, tree) = house();
    let before = check(&tree).expect("the copy is checked");
    plant(&tree);
    let after = check(&tree).expect("the planted copy is checked");
    after.into_iter().filter(|finding| !before.contains(finding)).collect()
}

fn found_after_writing(path: &str, text: &str) -> Vec<Finding> {
    found_after(|tree| write(tree, path, text))
}

#[test]
fn this_tree_has_no_forbidden_arrow() {
    let findings = check(&Tree::of_this_workspace()).expect("this tree is checked");
    assert!(findings.is_empty(), "{}", as_lines(&findings));
}

#[test]
fn crate_of_ours_that_design_does_not_draw_is_forbidden() {
    let found = found_after(|tree| {
        let line = "lazaret-server-store.workspace = true";
        add_dependency(tree, "agent/Cargo.toml", "[dependencies]", line);
    });
    let why = "lazaret-agent may not use lazaret-server-store: DESIGN draws no such arrow";
    assert_eq!(found, [Finding::at("agent/Cargo.toml", "crate", why)]);
}

#[test]
fn warp_in_a_pure_room_is_forbidden() {
    let found = found_after(|tree| {
        add_dependency(tree, "server/domain/Cargo.toml", "[dependencies]", "warp.workspace = true");
    });
    let why = "lazaret-server-domain is pure and may not use warp; it may use \
               base64, libm, percent-encoding, semver, serde, serde_json, sha2, thiserror, utoipa";
    assert_eq!(found, [Finding::at("server/domain/Cargo.toml", "crate", why)]);
}

#[test]
fn every_guarded_crate_outside_its_rooms_is_forbidden() {
    // `lazaret-server-blobs` is a shell that needs the fewest of them.
    let room = "lazaret-server-blobs";
    let planted = || table::GUARDED.iter().filter(|guarded| !guarded.rooms.contains(&room));
    let mut found = found_after(|tree| {
        for guarded in planted() {
            let line = format!("{} = \"*\"", guarded.outside);
            add_dependency(tree, "server/blobs/Cargo.toml", "[dependencies]", &line);
        }
    });
    let why = |guarded: &table::Guarded| {
        let why = format!("{room} may not use {}: {}", guarded.outside, guarded.why);
        Finding::at("server/blobs/Cargo.toml", "crate", why)
    };
    let mut expected: Vec<Finding> = planted().map(why).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn tough_in_the_agent_is_forbidden() {
    let found = found_after(|tree| {
        add_dependency(tree, "agent/Cargo.toml", "[dependencies]", "tough.workspace = true");
    });
    let why = "lazaret-agent may not use tough: tough publishes, signs and reads a second time; \
               the agent has protocol/tuf";
    assert_eq!(found, [Finding::at("agent/Cargo.toml", "crate", why)]);
}

#[test]
fn crate_under_another_name_is_still_recognised() {
    let found = found_after(|tree| {
        let line = "front = { package = \"warp\", version = \"*\" }";
        add_dependency(tree, "agent/Cargo.toml", "[dependencies]", line);
    });
    let why = "lazaret-agent may not use warp: only the server's http room knows warp";
    assert_eq!(found, [Finding::at("agent/Cargo.toml", "crate", why)]);
}

#[test]
fn build_script_is_judged_like_the_crate() {
    let found = found_after(|tree| {
        let line = "sled.workspace = true";
        add_dependency(tree, "cli/Cargo.toml", "[build-dependencies]", line);
        write(tree, "cli/build.rs", "//! Empty.\nfn main() {}\n");
    });
    let why = "lazaret-cli may not use sled: only backends/sled.rs knows sled";
    assert_eq!(found, [Finding::at("cli/Cargo.toml", "crate", why)]);
}

#[test]
fn std_feature_in_a_pure_room_is_forbidden() {
    let found = found_after(|tree| {
        let manifest = "agent/core/Cargo.toml";
        let text = tree.read(manifest).expect("a manifest");
        let with_std = "serde = { workspace = true, features = [\"std\"] }";
        write(tree, manifest, &text.replace("serde.workspace = true", with_std));
    });
    let why = "lazaret-agent-core is pure: serde needs default-features = false and no feature \
               `std`";
    assert_eq!(found, [Finding::at("agent/core/Cargo.toml", "crate", why)]);
}

#[test]
fn test_tools_are_allowed_in_tests_and_nothing_else_is() {
    let found = found_after(|tree| {
        let heading = "[dev-dependencies]";
        for line in ["insta.workspace = true", "proptest.workspace = true"] {
            let manifest = "server/blobs/Cargo.toml";
            if !tree.read(manifest).expect("a manifest").contains(line) {
                add_dependency(tree, manifest, heading, line);
            }
        }
        let line = "lazaret-server-store.workspace = true";
        add_dependency(tree, "server/blobs/Cargo.toml", heading, line);
    });
    let why = "lazaret-server-blobs may not use lazaret-server-store: DESIGN draws no such arrow";
    assert_eq!(found, [Finding::at("server/blobs/Cargo.toml", "crate", why)]);
}

#[test]
fn crate_without_a_row_is_forbidden() {
    let found = found_after(|tree| {
        let manifest = tree.read("cli/Cargo.toml").expect("a manifest");
        write(tree, "annex/Cargo.toml", &manifest.replace("lazaret-cli", "lazaret-annex"));
        write(tree, "annex/src/main.rs", "//! Empty.\nfn main() {}\n");
        let workspace = tree.read("Cargo.toml").expect("the workspace's manifest");
        write(
            tree,
            "Cargo.toml",
            &workspace.replace("\"cli\", \"tests\"", "\"cli\", \"annex\", \"tests\""),
        );
    });
    let why = "is in no row of xtask/src/arrows/table.rs: draw its arrows there";
    assert_eq!(found, [Finding::at("lazaret-annex", "crate", why)]);
}

#[test]
fn pure_room_without_no_std_is_found() {
    let text = "//! Words.\n#![warn(missing_docs)]\n#![no_std]\n";
    let found = found_after_writing("protocol/evidence/src/lib.rs", text);
    let why = "a pure crate has `#![no_std]` as its first attribute";
    assert_eq!(found, [Finding::at("protocol/evidence/src/lib.rs", "pure", why)]);
}

#[test]
fn pure_room_that_takes_std_back_is_found() {
    let text = "//! Words.\n#![no_std]\n\nextern crate std;\n";
    let found = found_after_writing("protocol/tuf/src/lib.rs", text);
    let why = "a pure crate may not take std back";
    assert_eq!(found, [Finding::on("protocol/tuf/src/lib.rs", 4, "pure", why)]);
}

#[test]
fn room_that_names_a_forbidden_sibling_is_found() {
    for text in [
        "//! Polls.\nuse crate::http::reply;\n",
        "//! Polls.\nuse crate::{app::report, http::reply};\n",
        "//! Polls.\nuse super::super::http;\n",
        "//! Polls.\nfn poll() { crate::http::reply() }\n",
    ] {
        let found = found_after_writing("server/src/app/poll.rs", text);
        let why = "app may not name http: DESIGN draws no such arrow";
        assert_eq!(found, [Finding::on("server/src/app/poll.rs", 2, "room", why)], "{text}");
    }
}

#[test]
fn every_arrow_inside_the_server_but_the_drawn_ones_is_found() {
    for room in table::SERVER_ROOMS.iter().filter(|room| room.module != "main") {
        for sibling in table::SERVER_ROOMS {
            let path = format!("server/src/{}/door.rs", room.module);
            let text = format!("//! A door.\nuse crate::{}::inner;\n", sibling.module);
            let found = rooms::check(&[SourceFile { path, text }]);
            let drawn = sibling.module == room.module || room.siblings.contains(&sibling.module);
            assert_eq!(found.is_empty(), drawn, "{} -> {}", room.module, sibling.module);
        }
    }
}

#[test]
fn room_that_names_a_forbidden_crate_is_found() {
    let text = "//! Routes.\nuse lazaret_server_domain::poll::decide;\n";
    let found = found_after_writing("server/src/http/device.rs", text);
    let why = "http may not name the crate lazaret_server_domain";
    assert_eq!(found, [Finding::on("server/src/http/device.rs", 2, "room", why)]);
}

#[test]
fn unknown_room_in_the_server_is_found() {
    let found = found_after_writing("server/src/annex.rs", "//! An annex.\n");
    let why = "the room annex is in no row of xtask/src/arrows/table.rs";
    assert_eq!(found, [Finding::at("server/src/annex.rs", "room", why)]);
}

#[test]
fn warp_outside_http_is_found() {
    let found = found_after_writing("server/src/wire.rs", "//! Wires.\nuse warp::Filter;\n");
    let why = "warp may not stand here: only the server's http room knows warp";
    assert_eq!(found, [Finding::on("server/src/wire.rs", 2, "reserved", why)]);
}

#[test]
fn sled_outside_its_backend_is_found() {
    let found = found_after_writing("server/store/src/keys.rs", "//! Keys.\nuse sled::IVec;\n");
    let why = "sled may not stand here: only backends/sled.rs knows sled";
    assert_eq!(found, [Finding::on("server/store/src/keys.rs", 2, "reserved", why)]);
}

#[test]
fn anyhow_in_a_room_is_found() {
    let text = "//! Polls.\nfn poll() -> anyhow::Result<()> { Ok(()) }\n";
    let found = found_after_writing("server/src/app/poll.rs", text);
    let why = "anyhow may not stand here: a room has an error enum of its own (STYLE, Errors)";
    assert_eq!(found, [Finding::on("server/src/app/poll.rs", 2, "reserved", why)]);
}

#[test]
fn device_peer_made_outside_identity_is_found() {
    let text = "//! Routes.\nfn peer() { DevicePeer::from_checked_certificate(id) }\n";
    let found = found_after_writing("server/src/http/device.rs", text);
    let why = "DevicePeer::from_checked_certificate may not stand here: only the identity room has \
               checked the certificate";
    assert_eq!(found, [Finding::on("server/src/http/device.rs", 2, "reserved", why)]);
    assert_eq!(found_after_writing("server/src/identity/device.rs", text), []);
}

#[test]
fn committed_made_outside_the_store_is_found() {
    let text = "//! Polls.\nfn lie() { Committed { reply } }\n";
    let found = found_after_writing("server/src/app/poll.rs", text);
    let why = "Committed { .. } may not stand here: only the store knows that a reply is on disk";
    assert_eq!(found, [Finding::on("server/src/app/poll.rs", 2, "reserved", why)]);
}

#[test]
fn clock_read_outside_the_composition_roots_is_found() {
    for clock in ["SystemTime::now", "Instant::now", "Zoned::now", "Timestamp::now"] {
        let text = format!("//! Gates.\nfn late() {{ {clock}() }}\n");
        let found = found_after_writing("agent/src/stage.rs", &text);
        let why = format!(
            "{clock} may not stand here: time is an argument: only the composition roots read the \
             clock"
        );
        assert_eq!(found, [Finding::on("agent/src/stage.rs", 2, "reserved", why)]);
        assert_eq!(found_after_writing("agent/src/clock.rs", &text), []);
    }
}

#[test]
fn comment_string_and_test_are_not_arrows() {
    let text = "//! Polls.\n// crate::http, SystemTime::now, warp::path\nconst A: &str = \
                \"warp::path and crate::http\";\n#[cfg(test)]\nmod tests { use crate::http; fn t() \
                { Instant::now(); } }\n";
    assert_eq!(found_after_writing("server/src/app/poll.rs", text), []);
}

#[test]
fn program_that_links_a_forbidden_crate_indirectly_is_found() {
    let agent = table::PROGRAMS.iter().find(|program| program.package == "lazaret-agent");
    let agent = agent.expect("the agent's row");
    let tree = "lazaret-agent v0.1.0 (/work)\nureq v3.5.0\naws-lc-sys v0.40.0\nring v0.17.14\n";
    let why = "lazaret-agent must not link aws-lc-sys: the agent stays small: rustls on ring, \
               blocking std (DESIGN section 6)";
    assert_eq!(links::check(agent, tree), [Finding::at("lazaret-agent", "links", why)]);
}
