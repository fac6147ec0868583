//! Files as factories write them, and what is said about those that are wrong.

use super::*;

const KEY: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

fn said<T: std::fmt::Debug>(outcome: anyhow::Result<T>) -> String {
    format!("{:#}", outcome.unwrap_err())
}

#[test]
fn a_file_of_either_form_yields_the_same_machines() {
    let csv = format!(
        "Serial, model,group,endorsement,claim\r\n\r\nsn-1,gw2,lyon,{KEY},\r\n\
         sn-2,gw2,\"lyon\",,abcdefghijklmnopqrstuv\r\n"
    );
    let json = format!(
        "[\n\n{{\"serial\": \"sn-1\", \"model\": \"gw2\", \"group\": \"lyon\",\n \
         \"endorsement\": \"{KEY}\"}},{{\"serial\": \"sn-2\", \"model\": \"gw2\", \
         \"group\": \"lyon\", \"claim\": \"abcdefghijklmnopqrstuv\", \"imei\": null}}]"
    );
    let from_csv = checked(&from_csv(&csv).unwrap()).unwrap();
    let from_json = checked(&from_json(&json).unwrap()).unwrap();
    assert_eq!(from_csv.iter().map(|it| it.line).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(from_json.iter().map(|it| it.line).collect::<Vec<_>>(), [3, 4]);
    for (one, other) in from_csv.iter().zip(&from_json) {
        assert_eq!(one, other);
        assert_eq!(one.device.as_str(), one.serial.as_str());
    }
}

#[test]
fn every_wrong_line_is_named_at_once() {
    let csv = format!(
        "serial,model,endorsement,imei\nSN 1,gw2,{KEY},\nsn-2,,{KEY},\nsn-3,gw2,abc,\n\
         sn-4,gw2,{KEY},490154203237519\nsn-5,gw2,,\n"
    );
    let said = said(checked(&from_csv(&csv).unwrap()));
    for (line, what) in [
        (2, "serial"),
        (3, "expected a model, got none"),
        (4, "expected the SHA-256 of the endorsement key"),
        (5, "check digit"),
        (6, "either an endorsement or a claim"),
    ] {
        let line = format!("line {line}: ");
        let found = said.lines().any(|it| it.starts_with(&line) && it.contains(what));
        assert!(found, "expected {line}...{what} in:\n{said}");
    }
    assert!(!said.contains("490154203237519"), "{said}");
}

#[test]
fn what_is_no_list_is_refused_with_its_line() {
    assert_eq!(
        said(from_csv("serial,colour\nsn-1,red\n")),
        "line 1: \"colour\" is no column; there are serial, device, model, group, endorsement, \
         claim, factory, imei, iccid, imsi"
    );
    let twice = said(from_csv("serial,serial\na,b\n"));
    assert_eq!(twice, "line 1: the column \"serial\" is there twice");
    assert_eq!(said(from_csv("serial,model\nsn-1\n")), "line 2: expected 2 cells, got 1");
    assert!(said(from_json("[{\"serial\": \"sn-1\"},\n{\"serial\": 7}]")).starts_with("line 2: "));
    assert!(said(from_json("{}")).starts_with("expected a list of objects in JSON"));
    assert!(said(checked(&from_csv("serial,model\n").unwrap())).contains("expected 1 to 2000"));
}
