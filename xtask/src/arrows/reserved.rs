//! Names that only certain files may use: proof constructors, the clock, and the crates that stay
//! in one file. Tests are not judged.

use crate::arrows::table::{RESERVED, Reserved};
use crate::finding::Finding;
use crate::tokens::{self, Scope};
use crate::tree::SourceFile;

const RULE: &str = "reserved";

/// Every use of a reserved name outside its files.
pub(crate) fn check(sources: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in sources.iter().filter(|file| !file.is_test()) {
        match tokens::lex(&file.text, Scope::ProductOnly) {
            Ok(lexed) => {
                for reserved in RESERVED.iter().filter(|reserved| !may(file, reserved)) {
                    let lines = tokens::lines_of(&lexed.tokens, reserved.tokens);
                    findings.extend(lines.into_iter().map(|line| {
                        let why =
                            format!("{} may not stand here: {}", reserved.named, reserved.why);
                        Finding::on(&file.path, line, RULE, why)
                    }));
                }
            }
            Err(why) => findings.push(Finding::at(&file.path, RULE, why)),
        }
    }
    findings
}

fn may(file: &SourceFile, reserved: &Reserved) -> bool {
    reserved.allowed.iter().any(|folder| file.is_in(folder))
}
