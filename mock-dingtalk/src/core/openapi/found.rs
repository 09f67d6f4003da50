//! Which of the routes a method and a path mean.

use super::routes::{ROUTES, Route};

/// What a call matched.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) route: &'static Route,
    /// The segments that `{}` stood for, decoded.
    pub(super) params: Vec<String>,
    /// The path differs in the case of letters.
    pub(super) other_case: bool,
}

impl Found {
    /// Whether DingTalk itself is known to take the path in these letters.
    pub(super) fn is_strict(&self) -> bool {
        !self.other_case || self.route.any_case
    }
}

/// The route of a call, in whatever letters the path is written. An exact one wins.
pub(super) fn find(method: &str, path: &str) -> Option<Found> {
    let mut loose = None;
    for route in ROUTES.iter().filter(|route| route.method == method) {
        match matches(route.pattern, path) {
            Some((params, false)) => return Some(Found { route, params, other_case: false }),
            Some((params, true)) if loose.is_none() => {
                loose = Some(Found { route, params, other_case: true });
            }
            _ => {}
        }
    }
    loose
}

/// The parameters, and whether letters differ in case.
pub(super) fn matches(pattern: &str, path: &str) -> Option<(Vec<String>, bool)> {
    let (mut params, mut other_case) = (Vec::new(), false);
    let mut rest = path.split('/');
    for want in pattern.split('/') {
        let have = rest.next()?;
        if want == "{}" {
            if have.is_empty() {
                return None;
            }
            params.push(decoded(have));
        } else if want != have {
            if !want.eq_ignore_ascii_case(have) {
                return None;
            }
            other_case = true;
        }
    }
    rest.next().is_none().then_some((params, other_case))
}

/// A path segment without its percent signs. A plus sign stays one, unlike in a query.
fn decoded(segment: &str) -> String {
    let plus_kept = segment.replace('+', "%2B");
    url::form_urlencoded::parse(plus_kept.as_bytes())
        .next()
        .map(
            |(key, value)| {
                if segment.contains('=') { format!("{key}={value}") } else { key.into_owned() }
            },
        )
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{ROUTES, find, matches};

    #[test]
    fn a_placeholder_takes_one_whole_segment() {
        let cases = [
            ("/a/{}/b", "/a/x/b", Some((vec!["x".to_owned()], false))),
            ("/a/{}/b", "/a//b", None),
            ("/a/{}/b", "/a/x/y/b", None),
            ("/a/{}", "/a/%40l%2FA", Some((vec!["@l/A".to_owned()], false))),
            ("/a/{}", "/a/cid+x==", Some((vec!["cid+x==".to_owned()], false))),
            ("/A/b", "/a/b", Some((vec![], true))),
            ("/a/b", "/a/b/", None),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn only_the_recall_of_direct_messages_is_taken_in_any_case() {
        assert!(find("POST", "/v1.0/robot/oToMessages/batchRecall").unwrap().is_strict());
        assert!(find("POST", "/v1.0/robot/otoMessages/batchRecall").unwrap().is_strict());
        assert!(!find("POST", "/v1.0/robot/otoMessages/batchSend").unwrap().is_strict());
        assert!(find("POST", "/v1.0/robot/otoMessages/batchSent").is_none());
    }

    #[test]
    fn no_route_hides_a_later_one() {
        for (index, one) in ROUTES.iter().enumerate() {
            for later in &ROUTES[index + 1..] {
                let hides = one.method == later.method
                    && matches(one.pattern, later.pattern)
                        .is_some_and(|(_, other_case)| !other_case);
                assert!(!hides, "{} {} hides {}", one.method, one.pattern, later.pattern);
            }
        }
    }
}
