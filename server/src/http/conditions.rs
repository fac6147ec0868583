//! What a reader of files asks for beside the file: is its copy still good (RFC 9110, 13), which
//! part of it (14), in which encoding (12.5.3). Headers in, a decision out.

use http::header::{ACCEPT_ENCODING, HeaderMap, IF_NONE_MATCH, IF_RANGE, RANGE};

/// Longest header of these that is read, in bytes. A longer one counts as not sent, which is always
/// allowed: the answer is then the whole file.
const HEADER_BYTES_MAX: usize = 4096;

/// The headers that matter for a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    if_none_match: Option<String>,
    if_range: Option<String>,
    range: Option<String>,
    accept_encoding: Option<String>,
}

/// The part of a file that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// From `offset` on, `length` bytes, at least one.
    Range {
        /// The first byte.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// A range that lies behind the end.
    Unsatisfiable,
}

impl Conditions {
    /// Takes them from a request's headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let read = |name: http::header::HeaderName| {
            // Several lines of one header mean one list (RFC 9110, 5.3).
            let lines: Option<Vec<&str>> =
                headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
            let joined = lines.filter(|lines| !lines.is_empty())?.join(", ");
            (joined.len() <= HEADER_BYTES_MAX).then_some(joined)
        };
        Self {
            if_none_match: read(IF_NONE_MATCH),
            if_range: read(IF_RANGE),
            range: read(RANGE),
            accept_encoding: read(ACCEPT_ENCODING),
        }
    }

    /// Whether the reader has one of these already: `If-None-Match` compares weakly (RFC 9110,
    /// 13.1.2).
    pub(crate) fn has(&self, tags: &[&str]) -> bool {
        let Some(listed) = &self.if_none_match else { return false };
        listed
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tags.contains(&tag.strip_prefix("W/").unwrap_or(tag)))
    }

    /// Whether a part is asked for that may be sent: `If-Range` compares strongly (13.1.5), and a
    /// date never matches, because files have none here.
    pub(crate) fn part(&self, tag: &str, total: u64) -> Part {
        let same = self.if_range.as_deref().is_none_or(|wanted| wanted.trim() == tag);
        match &self.range {
            Some(range) if same => parse_range(range, total),
            _ => Part::Whole,
        }
    }

    /// Whether the reader takes gzip, and no part is asked for: ranges are of the file itself.
    pub(crate) fn takes_gzip(&self) -> bool {
        let Some(listed) = self.accept_encoding.as_deref().filter(|_| self.range.is_none()) else {
            return false;
        };
        let mut any = None;
        for coding in listed.split(',') {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = parameters.trim().strip_prefix("q=").map(|q| q.trim().parse::<f32>());
            let wanted = !matches!(weight, Some(Ok(q)) if q <= 0.0);
            match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => return wanted,
                "*" => any = Some(wanted),
                _ => {}
            }
        }
        any.unwrap_or(false)
    }
}

/// One range of RFC 9110, 14.1.2. Several at once, which would let one small request ask for the
/// same bytes a thousand times, and what is no range at all count as not asked for (14.2).
fn parse_range(range: &str, total: u64) -> Part {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    let (offset, end) = match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            None => return Part::Whole,
            Some(0) => return Part::Unsatisfiable,
            Some(suffix) => (total.saturating_sub(suffix), total),
        },
        (first, "") => match number(first) {
            Some(first) => (first, total),
            None => return Part::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                (first, last.saturating_add(1).min(total))
            }
            _ => return Part::Whole,
        },
    };
    match end.checked_sub(offset).filter(|length| *length > 0) {
        Some(length) => Part::Range { offset, length },
        None => Part::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests;
