//! The table of routes, the document that is made of it, and the page that people read, held
//! against each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{device, operator};
use super::*;

fn routes(table: Table) -> impl Iterator<Item = &'static Route> {
    table.iter().copied().flatten()
}

fn document_of(table: Table) -> Value {
    serde_json::to_value(document(table)).unwrap()
}

/// Each operation as `GET /v1/devices/{}` with who may call it.
fn said(document: &Value) -> BTreeSet<(String, String)> {
    let mut said = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let roles = operation["x-roles"].as_array().unwrap();
            let roles: Vec<&str> = roles.iter().map(|role| role.as_str().unwrap()).collect();
            let path = path.split('/').map(anonymous).collect::<Vec<_>>().join("/");
            said.insert((format!("{} {path}", method.to_uppercase()), roles.join(", ")));
        }
    }
    said
}

fn anonymous(segment: &str) -> &str {
    let placeholder = segment.starts_with('{') || is_word_in_capitals(segment);
    if placeholder { "{}" } else { segment }
}

fn is_word_in_capitals(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The same from a table of docs/PROTOCOL.md.
fn page(title: &str) -> BTreeSet<(String, String)> {
    let page = include_str!("../../../../docs/PROTOCOL.md");
    let section = page.split_once(title).unwrap().1.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let route = cells.next().unwrap().trim_matches('`');
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let path = path.split('/').map(anonymous).collect::<Vec<_>>().join("/");
        (format!("{method} {path}"), cells.next().unwrap().to_owned())
    })
    .collect()
}

#[test]
fn every_route_of_operators_stands_in_the_document_and_on_the_page_with_its_roles() {
    let document = said(&document_of(operator::ROUTES));
    assert_eq!(document.len(), routes(operator::ROUTES).count());
    assert_eq!(document, page("## Operator listener"));
}

#[test]
fn every_route_of_devices_stands_on_the_page() {
    let paths = |said: BTreeSet<(String, String)>| -> BTreeSet<String> {
        said.into_iter().map(|(route, _)| route).collect()
    };
    let document = paths(said(&document_of(device::ROUTES)));
    assert_eq!(document.len(), routes(device::ROUTES).count());
    assert_eq!(document, paths(page("## Device listener")));
}

#[test]
fn every_reference_of_the_document_leads_to_a_schema() {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(name)) = fields.get("$ref") {
                    found.insert(name.clone());
                }
                fields.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    for table in [operator::ROUTES, device::ROUTES] {
        let document = document_of(table);
        let mut found = BTreeSet::new();
        walk(&document, &mut found);
        assert!(found.len() > 5, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
}

#[test]
fn every_route_says_what_it_is_for_and_has_a_name_of_its_own() {
    for table in [operator::ROUTES, device::ROUTES] {
        let mut names = BTreeSet::new();
        for route in routes(table) {
            assert!(!route.summary.is_empty(), "{}", route.path);
            assert!(names.insert(operation_id(route)), "{} twice", operation_id(route));
            let json = route.gives == Gives::Json;
            assert_eq!(json, route.reply.is_some(), "{} says what it gives", route.path);
            let body = matches!(route.takes, Takes::Json(_));
            assert_eq!(body, route.request.is_some(), "{} says what it takes", route.path);
        }
    }
}

#[test]
fn no_route_hides_behind_another() {
    for table in [operator::ROUTES, device::ROUTES] {
        for route in routes(table) {
            let concrete = route.path.replace("..}", "}").replace(['{', '}'], "");
            let first = routes(table)
                .find(|other| other.method == route.method && other.matches(&concrete).is_some());
            assert_eq!(first.map(|found| found.path), Some(route.path));
        }
    }
}
