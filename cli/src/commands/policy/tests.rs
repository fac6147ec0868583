//! Shipped policies can be used, and what cannot is said in full.

use super::*;

#[test]
fn every_shipped_policy_can_be_used() {
    for (name, _) in SHIPPED {
        assert_eq!(usable(name).unwrap().name, *name);
    }
}

#[test]
fn a_name_that_is_neither_shipped_nor_a_file_is_refused_with_the_choice() {
    let err = text("nowhere.toml").unwrap_err().to_string();
    assert_eq!(err, "expected one of normal, slow, emergency or a file, got \"nowhere.toml\"");
}
