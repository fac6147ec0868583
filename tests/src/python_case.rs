//! `case_validate` of the CASE project, in a folder of its own below the target folder. It is
//! fetched once from PyPI, without pandas, which it has for other commands and which is by far the
//! largest part; versions are pinned here and nowhere else.

use std::path::PathBuf;

use crate::python_tuf::environment;

/// What `case_validate` needs.
const PACKAGES: [&str; 16] = [
    "case_utils==0.18.0",
    "cdo-local-uuid==0.5.0",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "html5rdf==1.2.1",
    "idna==3.20",
    "importlib_metadata==8.7.0",
    "owlrl==7.6.2",
    "packaging==26.3",
    "prettytable==3.18.0",
    "pyparsing==3.3.3",
    "pyshacl==0.40.1",
    "rdflib==7.6.0",
    "requests==2.34.2",
    "wcwidth==0.9.4",
    "zipp==4.1.2",
];

/// The program.
///
/// # Errors
/// There is no Python with `venv`, or PyPI cannot be reached.
pub fn case_validate() -> anyhow::Result<PathBuf> {
    let python = environment("python-case-0.18.0", &PACKAGES)?;
    Ok(python.with_file_name("case_validate"))
}
