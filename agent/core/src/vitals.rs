//! What a device must have before an image is brought into its slot, beside room for it: memory,
//! a battery that will last, and a temperature at which flash may be written.

use alloc::format;

use crate::reason::Reason;

/// What was measured. What a device does not have is none, and is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Bytes of memory that programs could still have.
    pub memory_bytes: Option<u64>,
    /// The emptiest battery, in percent.
    pub battery_percent: Option<u64>,
    /// Whether mains or another supply is connected.
    pub supplied: bool,
    /// The hottest sensor, in thousandths of a degree Celsius.
    pub temperature_millicelsius: Option<i64>,
}

/// What the configuration asks for; 0 asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// In bytes.
    pub memory_bytes_min: u64,
    /// In percent, unless mains or another supply is connected.
    pub battery_percent_min: u64,
    /// In degrees Celsius.
    pub temperature_celsius_max: u64,
}

/// The first need that is not met: a stable code, and words. The update waits for it.
#[must_use]
pub fn lacking(vitals: &Vitals, needs: &Needs) -> Option<(&'static str, Reason)> {
    let want = needs.memory_bytes_min;
    if let Some(got) = vitals.memory_bytes.filter(|got| *got < want) {
        let text = format!("expected {want} bytes of free memory, got {got}");
        return Some(("low-memory", Reason::new(&text)));
    }
    let want = needs.battery_percent_min;
    if let Some(got) = vitals.battery_percent.filter(|got| *got < want && !vitals.supplied) {
        let text = format!("expected a battery at {want} % or a supply, got {got} %");
        return Some(("low-battery", Reason::new(&text)));
    }
    let most = needs.temperature_celsius_max;
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_mul(1000);
    if let Some(got) = vitals.temperature_millicelsius.filter(|got| most > 0 && *got > limit) {
        let text = format!("expected at most {most} degrees Celsius, got {got} thousandths");
        return Some(("too-hot", Reason::new(&text)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs =
        Needs { memory_bytes_min: 1000, battery_percent_min: 30, temperature_celsius_max: 70 };

    fn code(vitals: Vitals) -> Option<&'static str> {
        lacking(&vitals, &NEEDS).map(|(code, _)| code)
    }

    #[test]
    fn what_is_measured_must_suffice_and_what_is_not_there_is_not_judged() {
        assert_eq!(code(Vitals::default()), None);
        let well = Vitals {
            memory_bytes: Some(1000),
            battery_percent: Some(30),
            supplied: false,
            temperature_millicelsius: Some(70_000),
        };
        assert_eq!(code(well), None);
        assert_eq!(code(Vitals { memory_bytes: Some(999), ..well }), Some("low-memory"));
        assert_eq!(code(Vitals { battery_percent: Some(29), ..well }), Some("low-battery"));
        assert_eq!(code(Vitals { battery_percent: Some(29), supplied: true, ..well }), None);
        let hot = Vitals { temperature_millicelsius: Some(70_001), ..well };
        assert_eq!(code(hot), Some("too-hot"));
        assert_eq!(lacking(&hot, &Needs::default()), None, "nothing is asked for");
    }
}
