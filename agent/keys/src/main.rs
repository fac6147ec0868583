//! `lazaret-agent-keys`: keeps a device's key where software cannot copy it, in a TPM 2.0 or a
//! PKCS#11 token, and signs for the agent over a pipe. A program of its own, because both link
//! libraries of the system, and the agent is static and small.
#![allow(clippy::print_stdout, reason = "its answers go to standard output")]

mod serve;
mod stores;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::stores::pkcs11::Pkcs11;
use crate::stores::tpm2::Tpm2;
use crate::stores::{KeyStore, KeyStoreError};

/// Keep a device's key in a TPM 2.0 or a PKCS#11 token, and sign with it.
///
/// The agent starts this program with `serve` and speaks to it over its standard input and output,
/// a JSON object per line. `public` and `create` are for people.
#[derive(Debug, Parser)]
#[command(name = "lazaret-agent-keys", version)]
struct Arguments {
    #[command(subcommand)]
    store: Store,
}

/// Where the key is.
#[derive(Debug, Subcommand)]
enum Store {
    /// In a token, through the PKCS#11 module of its maker.
    Pkcs11 {
        /// The module, such as /usr/lib/softhsm/libsofthsm2.so.
        #[arg(long, value_name = "FILE")]
        module: PathBuf,
        /// The token's label.
        #[arg(long, value_name = "TEXT")]
        token: String,
        /// The key's label in the token.
        #[arg(long, value_name = "TEXT", default_value = "lazaret-device")]
        key: String,
        /// A file whose first line is the user's PIN. It is not taken from the command line, where
        /// every process of the machine would see it.
        #[arg(long, value_name = "FILE")]
        pin_file: PathBuf,
        #[command(subcommand)]
        job: Job,
    },
    /// In a TPM 2.0. What is kept in the folder is wrapped by that TPM, and useless elsewhere.
    Tpm2 {
        /// How the TPM is reached: `device:/dev/tpmrm0`, or `swtpm:host=127.0.0.1,port=2321`.
        #[arg(long, value_name = "TCTI", default_value = "device:/dev/tpmrm0")]
        tcti: String,
        /// The folder of the wrapped key.
        #[arg(long, value_name = "FOLDER")]
        folder: PathBuf,
        #[command(subcommand)]
        job: Job,
    },
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum Job {
    /// Make the key if there is none, and print its public half.
    Create,
    /// Print the key's public half; fails where there is no key.
    Public,
    /// Answer requests on standard input until it ends.
    Serve,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().store) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(store: &Store) -> anyhow::Result<()> {
    match store {
        Store::Pkcs11 { module, token, key, pin_file, job } => {
            work(&mut Pkcs11::open(module, token, key, pin_file)?, *job)
        }
        Store::Tpm2 { tcti, folder, job } => work(&mut Tpm2::open(tcti, folder)?, *job),
    }
}

fn work(store: &mut dyn KeyStore, job: Job) -> anyhow::Result<()> {
    let public = match job {
        Job::Create => store.load_or_create()?,
        Job::Public => store.public()?.ok_or(KeyStoreError::NoKey)?,
        Job::Serve => return Ok(serve::serve(store, std::io::stdin().lock(), std::io::stdout())?),
    };
    println!("{}", serde_json::to_string(&public)?);
    Ok(())
}
