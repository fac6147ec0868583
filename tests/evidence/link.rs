//! Links that drop and a server that is killed while a bundle is on its way: it arrives whole, and
//! little of it is sent twice.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "all of this is a test"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lazaret_tests::programs::arg;
use lazaret_tests::site::{Device, Site};
use lazaret_tests::wait;
use serde_json::Value;

use crate::put;

/// Longest wait for a bundle over a link that is no good.
const PATIENCE: Duration = Duration::from_secs(120);

/// A link that lets through so many bytes from the device on each connection, and then drops it.
struct Link {
    port: u16,
    /// Bytes that came from the device, over all connections.
    sent: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl Link {
    fn to(server: u16, bytes_each: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sent, dropped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (count, drops) = (sent.clone(), dropped.clone());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for device in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (count, drops) = (count.clone(), drops.clone());
                std::thread::spawn(move || carry(&device, &server, bytes_each, (&count, &drops)));
            }
        });
        Self { port, sent, dropped }
    }
}

fn carry(
    device: &TcpStream,
    server: &TcpStream,
    bytes_each: u64,
    (count, drops): (&AtomicU64, &AtomicU64),
) {
    let back = (server.try_clone().unwrap(), device.try_clone().unwrap());
    std::thread::spawn(move || {
        let (mut from, mut to) = back;
        // Either end may go at any time: that is what a link is like.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (device, server);
    let (mut left, mut piece) = (bytes_each, vec![0; 4096]);
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let read = u64::try_from(read).unwrap();
        count.fetch_add(read, Ordering::Relaxed);
        let through = usize::try_from(read.min(left)).unwrap();
        if to.write_all(&piece[..through]).is_err() {
            break;
        }
        left -= read.min(left);
        if left == 0 {
            drops.fetch_add(1, Ordering::Relaxed);
            break;
        }
    }
    let _ = device.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// A device whose evidence is a file of that many bytes that nothing makes smaller.
pub(crate) fn device_with(site: &Site, bytes: usize, through: Option<u16>) -> Device {
    let device = site.provision("d-1").unwrap();
    let root = device.folder.join("root");
    std::fs::create_dir(&root).unwrap();
    // Any bytes do that look like noise: a fixed sequence makes every run the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect();
    put(root.join("noise"), noise);
    put(device.folder.join("list"), "");
    let path = device.folder.join("agent.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    if let Some(port) = through {
        text = text.replace(&site.device_port.to_string(), &port.to_string());
    }
    let settings = format!(
        "release_files = {:?}\nrelease_root = {root:?}\nwatched_paths = [{root:?}]\n",
        device.folder.join("list")
    );
    let profile = "\n[[profiles]]\nname = \"noise\"\nartifacts = [\"files.txt\", \
                   \"changed-files.tar\"]\nbytes_max = 67108864\nartifact_bytes_max = 67108864\n";
    // Settings stand before the first table.
    put(&path, format!("{settings}{text}{profile}"));
    device
}

pub(crate) fn collected(site: &Site) -> String {
    wait::until("the device to have enrolled", PATIENCE, || {
        Ok(site.lazaret(&["device", "show", "d-1"]).is_ok().then_some(()))
    })
    .unwrap();
    let collect = ["evidence", "collect", "d-1", "--reason", "case 7", "--profile", "noise"];
    site.lazaret(&collect).unwrap()["bundle"].as_str().unwrap().to_owned()
}

pub(crate) fn bundle(site: &Site, id: &str) -> anyhow::Result<Value> {
    let page = site.lazaret(&["evidence", "list"])?;
    let items = page["items"].as_array().or(page.as_array()).cloned().unwrap_or_default();
    Ok(items.into_iter().find(|item| item["id"] == id).unwrap_or_default())
}

pub(crate) fn received(site: &Site, id: &str) -> u64 {
    wait::until("the bundle to be there", PATIENCE, || {
        let bundle = bundle(site, id)?;
        Ok((bundle["state"] == "received").then(|| bundle["length"].as_u64().unwrap()))
    })
    .unwrap()
}

/// The bundle, pulled and checked with public keys alone.
fn is_whole(site: &Site, id: &str, folder: &Path) {
    let file = arg(&folder.join("pulled.age"));
    site.lazaret(&["evidence", "pull", "d-1", "--bundle", id, "--out", &file]).unwrap();
    let ca = arg(&site.keys().join("ca").join("device-ca.pem"));
    let secret = arg(&site.keys().join("responders").join("responder-1.age"));
    let verify = ["evidence", "verify", &file, "--device-ca", &ca, "--identity", &secret];
    let verdict = site.lazaret(&verify).unwrap();
    assert_eq!(verdict["ok"], true, "{verdict:#}");
    let taken = verdict["artifacts"].as_array().unwrap();
    assert!(
        taken.iter().any(|it| it["name"] == "changed-files.tar" && it["status"] == "collected")
    );
}

#[test]
fn a_bundle_arrives_whole_over_a_link_that_drops_every_300_kilobytes_with_at_most_five_percent_more()
 {
    let (folder, site) = Site::running().unwrap();
    let link = Link::to(site.device_port, 300_000);
    let mut device = device_with(&site, 6 << 20, Some(link.port));
    device.start().unwrap();
    let id = collected(&site);
    let length = received(&site, &id);
    let (sent, dropped) = (link.sent.load(Ordering::Relaxed), link.dropped.load(Ordering::Relaxed));
    println!("bundle {length} bytes, sent {sent}, dropped {dropped} times");
    assert!(dropped >= 15, "the link dropped {dropped} times");
    // Everything on the wire counts: handshakes, headers, polls and what was lost on the way.
    assert!(sent * 100 <= length * 105, "{sent} bytes were sent for {length}");
    is_whole(&site, &id, folder.path());
}

#[test]
fn a_bundle_arrives_over_a_link_that_drops_before_a_piece_is_through() {
    let (folder, site) = Site::running().unwrap();
    // A handshake takes about 3 kB of it, and the smallest piece is of 32 KiB.
    let link = Link::to(site.device_port, 12_000);
    let mut device = device_with(&site, 100_000, Some(link.port));
    device.start().unwrap();
    let id = collected(&site);
    received(&site, &id);
    assert!(link.dropped.load(Ordering::Relaxed) >= 8);
    is_whole(&site, &id, folder.path());
}

#[test]
fn a_server_killed_again_and_again_while_it_comes_has_the_bundle_whole_in_the_end() {
    let (folder, mut site) = Site::running().unwrap();
    let link = Link::to(site.device_port, u64::MAX);
    let mut device = device_with(&site, 24 << 20, Some(link.port));
    device.start().unwrap();
    let id = collected(&site);
    let mut kills = 0;
    for megabytes in [2_u64, 8, 16] {
        wait::until("some of the bundle to be on its way", PATIENCE, || {
            let sent = link.sent.load(Ordering::Relaxed);
            Ok((sent >= megabytes << 20).then_some(()))
        })
        .unwrap();
        site.kill_server().unwrap();
        site.start_server().unwrap();
        kills += u32::from(bundle(&site, &id).unwrap()["state"] != "received");
    }
    assert!(kills >= 2, "the server was killed {kills} times while it came");
    let length = received(&site, &id);
    let sent = link.sent.load(Ordering::Relaxed);
    println!("bundle {length} bytes, sent {sent}, killed {kills} times");
    assert!(sent * 100 <= length * 105, "{sent} bytes were sent for {length}");
    is_whole(&site, &id, folder.path());
}
