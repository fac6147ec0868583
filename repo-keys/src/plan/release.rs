//! A release role: the images of one model.

use std::collections::{BTreeSet, HashMap};

use lazaret_protocol::id::ModelName;
use lazaret_protocol::target::{image_target, release_role};
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys_signing::metadata::rules::ImageEntry;
use lazaret_repo_keys_signing::metadata::{Document, MetadataError, make, payload_of, rules};
use tough::schema::Targets;

use crate::error::{Rule, StepError};

/// What a release role will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePlan {
    /// The hardware model.
    pub model: ModelName,
    /// One more than the last.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// The images, lowest counter first.
    pub images: Vec<ImageEntry>,
}

impl ReleasePlan {
    /// Adds a new image to the last signed version, or begins with it, and keeps the newest `keep`
    /// with the steps that lead to them.
    ///
    /// # Errors
    /// The counter or the version name is not new, or the image is one for another model.
    pub fn with_image(
        previous: Option<&Self>,
        image: ImageEntry,
        keep: usize,
        expires: Timestamp,
    ) -> Result<Self, StepError> {
        let model = image.custom.model.clone();
        if let Some(previous) = previous.filter(|previous| previous.model != model) {
            let what = format!("expected the last signed rel-{model}, got rel-{}", previous.model);
            return Err(StepError::refused(Rule::WrongFile, what));
        }
        let mut images = previous.map(|previous| previous.images.clone()).unwrap_or_default();
        check_new(&images, &image)?;
        images.push(image);
        let images = kept(images, keep.max(1));
        let version = previous.map_or(0, |previous| previous.version).saturating_add(1);
        Ok(Self { model, version, expires, images })
    }

    /// The images that `previous` does not list with the same version, hash and length.
    #[must_use]
    pub fn new_images(&self, previous: Option<&Self>) -> Vec<&ImageEntry> {
        let known = |image: &&ImageEntry| {
            previous.is_some_and(|previous| {
                previous.images.iter().any(|old| {
                    old.version == image.version
                        && old.sha256 == image.sha256
                        && old.length == image.length
                        && old.custom.counter == image.custom.counter
                })
            })
        };
        self.images.iter().filter(|image| !known(image)).collect()
    }

    pub(super) fn payload(&self) -> Result<Vec<u8>, MetadataError> {
        let role = release_role(&self.model);
        let mut targets = HashMap::new();
        for image in &self.images {
            let name = make::target_name(&image_target(&self.model, &image.version))?;
            let target = make::target(image.length, &image.sha256, Some(&image.custom))?;
            targets.insert(name, target);
        }
        let targets = Targets {
            spec_version: make::SPEC_VERSION.to_owned(),
            version: make::number(&role, self.version)?,
            expires: make::moment(self.expires),
            targets,
            delegations: None,
            _extra: HashMap::new(),
        };
        rules::check_release(&targets, &self.model)?;
        payload_of(&targets)
    }

    pub(super) fn read(
        document: &Document<Targets>,
        model: &ModelName,
    ) -> Result<Self, MetadataError> {
        Ok(Self {
            model: model.clone(),
            version: document.version(),
            expires: document.expires(),
            images: rules::check_release(&document.signed, model)?,
        })
    }
}

/// The newest `keep` images, and of the older ones those that devices have to run in between to get
/// to them: without those, devices that are far behind could never come up.
fn kept(mut images: Vec<ImageEntry>, keep: usize) -> Vec<ImageEntry> {
    let surplus = images.len().saturating_sub(keep);
    let mut stay: BTreeSet<u64> = BTreeSet::new();
    for newest in images.iter().skip(surplus) {
        stay.insert(newest.custom.counter);
        let mut needs = newest.custom.needs;
        while let Some(step) = in_between(&images, needs) {
            stay.insert(step.custom.counter);
            needs = step.custom.needs;
        }
    }
    images.retain(|image| stay.contains(&image.custom.counter));
    images
}

/// The image that brings devices up to `needs`: the first of at least that counter which itself
/// needs less. None where nothing is needed, or there is no such image.
#[must_use]
pub(crate) fn in_between(images: &[ImageEntry], needs: u64) -> Option<&ImageEntry> {
    images.iter().find(|image| image.custom.counter >= needs && image.custom.needs < needs)
}

/// Checks that an image is later than all of `images` and does not take another's name.
///
/// # Errors
/// The counter or the version name is not new.
pub(crate) fn check_new(images: &[ImageEntry], image: &ImageEntry) -> Result<(), StepError> {
    let highest = images.iter().map(|old| old.custom.counter).max().unwrap_or(0);
    if image.custom.counter <= highest {
        let what = format!(
            "expected a release counter above {highest}, got {} for version {}",
            image.custom.counter, image.version
        );
        return Err(StepError::refused(Rule::CounterNotNew, what));
    }
    if let Some(old) = images.iter().find(|old| old.version == image.version) {
        let what =
            format!("version {} already names the image with sha256 {}", old.version, old.sha256);
        return Err(StepError::refused(Rule::VersionTaken, what));
    }
    Ok(())
}
