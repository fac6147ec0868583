//! Caches between the server and a fleet: what may be kept, for how long, under which tag, in which
//! encoding and in which part.

use anyhow::{Context as _, ensure};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_tests::http::{Answer, Connection, Credential, tls};
use lazaret_tests::programs::Programs;
use lazaret_tests::site::Site;

fn header(answer: &Answer, name: &str) -> Option<String> {
    answer.head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

struct Reader {
    connection: Connection,
}

impl Reader {
    fn get(&mut self, path: &str, headers: &str) -> anyhow::Result<Answer> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        self.connection.send(head.as_bytes())?;
        self.connection.answer()
    }
}

#[test]
fn caches_keep_what_never_changes_and_ask_again_for_the_timestamp() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = Site::found(Programs::beside_this_one()?, &folder.path().join("site"))?;
    site.init()?;
    site.start_server()?;
    let credential = Credential::operator(&site, "ana")?;
    let connection = Connection::open(site.operator_port, &tls(&site, Some(&credential))?)?;
    let mut reader = Reader { connection };

    let root = "/v1/repo/metadata/1.root.json";
    let plain = reader.get(root, "")?;
    let tag = header(&plain, "etag").context("no tag")?;
    ensure!(tag == format!("\"{}\"", Sha256Digest::of(&plain.body)), "{tag}");
    let age = header(&plain, "cache-control").context("no age")?;
    ensure!(age.contains("max-age=31536000") && age.contains("immutable"), "{age}");
    ensure!(header(&plain, "vary").as_deref() == Some("accept-encoding"));

    let packed = reader.get(root, "accept-encoding: gzip\r\n")?;
    ensure!(header(&packed, "content-encoding").as_deref() == Some("gzip"));
    ensure!(packed.body.len() * 3 < plain.body.len() * 2, "{} bytes", packed.body.len());
    let packed_tag = header(&packed, "etag").context("no tag")?;
    ensure!(packed_tag != tag, "one tag for two representations");
    for known in [&tag, &packed_tag] {
        let unchanged = reader.get(root, &format!("if-none-match: {known}\r\n"))?;
        ensure!(unchanged.status == 304 && unchanged.body.is_empty(), "{unchanged:?}");
        ensure!(header(&unchanged, "etag").is_some());
    }
    ensure!(reader.get(root, "if-none-match: \"other\"\r\n")?.status == 200);

    let part = reader.get(root, &format!("range: bytes=5-9\r\nif-range: {tag}\r\n"))?;
    ensure!(part.status == 206 && part.body == plain.body[5..10], "{part:?}");
    let whole = reader.get(root, "range: bytes=5-9\r\nif-range: \"other\"\r\n")?;
    ensure!(whole.status == 200 && whole.body == plain.body);
    let behind = reader.get(root, "range: bytes=9999999-\r\n")?;
    ensure!(behind.status == 416, "{behind:?}");
    let wanted = format!("bytes */{}", plain.body.len());
    ensure!(header(&behind, "content-range") == Some(wanted));

    let timestamp = reader.get("/v1/repo/metadata/timestamp.json", "")?;
    let age = header(&timestamp, "cache-control").context("no age")?;
    ensure!(age.contains("max-age=10") && !age.contains("immutable"), "{age}");

    let absent = reader.get("/v1/repo/metadata/2.root.json", "")?;
    ensure!(absent.status == 404 && absent.code() == "not-found", "{absent:?}");
    ensure!(header(&absent, "cache-control").is_some_and(|age| age.contains("max-age=10")));

    let anchors = std::fs::read(site.keys().join("anchors.json"))?;
    let digest = Sha256Digest::of(&anchors);
    let path = format!("/v1/repo/targets/trust/{digest}.anchors");
    let target = reader.get(&path, "accept-encoding: gzip\r\n")?;
    ensure!(target.body == anchors && header(&target, "content-encoding").is_none());
    ensure!(header(&target, "etag") == Some(format!("\"{digest}\"")));
    let unchanged = reader.get(&path, &format!("if-none-match: \"{digest}\"\r\n"))?;
    ensure!(unchanged.status == 304);
    let tail = reader.get(&path, "range: bytes=-3\r\n")?;
    ensure!(tail.status == 206 && tail.body == anchors[anchors.len() - 3..]);

    for (path, length) in [(root, plain.body.len()), (path.as_str(), anchors.len())] {
        let head = format!("HEAD {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        reader.connection.send(head.as_bytes())?;
        let head = reader.connection.head()?;
        ensure!(head.status == 200, "{head:?}");
        ensure!(header(&head, "content-length") == Some(length.to_string()), "{}", head.head);
        // Nothing of a body follows: the next answer begins where it should.
        ensure!(reader.get(root, "")?.body == plain.body);
    }
    Ok(())
}

#[test]
fn a_store_that_lost_a_target_does_not_say_that_it_never_was() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut site = Site::found(Programs::beside_this_one()?, &folder.path().join("site"))?;
    site.init()?;
    let anchors = std::fs::read(site.keys().join("anchors.json"))?;
    let digest = Sha256Digest::of(&anchors).to_string();
    let images = site.folder.join("data/images");
    let lost =
        walk(&images)?.into_iter().find(|path| path.to_string_lossy().contains(&digest[..8]));
    site.start_server()?;
    std::fs::remove_file(lost.context("no file of the anchors")?)?;
    let credential = Credential::operator(&site, "ana")?;
    let connection = Connection::open(site.operator_port, &tls(&site, Some(&credential))?)?;
    let mut reader = Reader { connection };
    let answer = reader.get(&format!("/v1/repo/targets/trust/{digest}.anchors"), "")?;
    ensure!(answer.status == 503, "{answer:?}");
    ensure!(header(&answer, "cache-control").as_deref() == Some("no-store"));
    Ok(())
}

fn walk(folder: &std::path::Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(walk(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}
