//! The routes as `docs/PROTOCOL.md` lists them, so that a route that is added there is tested here.

/// One row of a table of routes.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// Such as `GET`.
    pub(crate) method: String,
    /// As it stands there, with placeholders such as `ID`.
    pub(crate) template: String,
    /// The credential, or the roles.
    pub(crate) who: String,
}

/// What the device listener takes.
#[allow(dead_code, reason = "of the programs that share this file one asks for operators alone")]
pub(crate) fn of_devices() -> Vec<Route> {
    below("## Device listener")
}

/// What the operator listener takes.
pub(crate) fn of_operators() -> Vec<Route> {
    below("## Operator listener")
}

fn below(title: &str) -> Vec<Route> {
    let page = include_str!("../../docs/PROTOCOL.md");
    let section = page.split_once(title).expect("the section of this listener").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let routes: Vec<Route> = rows.map(route).collect();
    assert!(routes.len() > 5, "the table of {title} was not understood");
    routes
}

fn route(row: &str) -> Route {
    let mut cells = row.split('|').map(str::trim).skip(1);
    let what = cells.next().expect("a route").trim_matches('`');
    let (method, path) = what.split_once(' ').expect("a method and a path");
    Route {
        method: method.into(),
        template: path.into(),
        who: cells.next().expect("a credential or roles").into(),
    }
}

impl Route {
    /// With every placeholder filled in by something well-formed that does not exist.
    pub(crate) fn path(&self) -> String {
        self.filled(|name| match name {
            "N" | "SEQUENCE" => "0".into(),
            "HEX" => "0".repeat(64),
            "MODEL" => "gw9".into(),
            "NAME" | "TOKEN" => "nobody".into(),
            "VERSION" => "9.9".into(),
            "FILE" => "99.root.json".into(),
            "PATH" => format!("gw9/9.9/{}.image", "0".repeat(64)),
            _ => "unknown".into(),
        })
    }

    /// With every placeholder filled in by `value`.
    pub(crate) fn filled(&self, value: impl Fn(&str) -> String) -> String {
        let mut path = String::new();
        let mut name = String::new();
        // Placeholders are the words in capitals.
        for letter in self.template.chars().chain(['\0']) {
            if letter.is_ascii_uppercase() {
                name.push(letter);
                continue;
            }
            if !name.is_empty() {
                path.push_str(&value(&std::mem::take(&mut name)));
            }
            if letter != '\0' {
                path.push(letter);
            }
        }
        path
    }
}
