use std::fmt::Write;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn path(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

fn set_to(text: &str, place: &str, value: &Value) -> String {
    set(text, &path(place), value).unwrap()
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    let text = "// mine\n{\n  channels: { // all\n    ddingtalk: { dmPolicy: 'open' /* for now */, },\n  },\n}\n";
    assert_eq!(
        set_to(text, "channels.ddingtalk.dmPolicy", &json!("pairing")),
        text.replace("'open'", "\"pairing\"")
    );
    let twice = "{ a: 1, a: 2 }";
    assert_eq!(set_to(twice, "a", &json!(3)), "{ a: 1, a: 3 }", "the last one counts");
    assert_eq!(set_to("{ 'a\\x62': null }", "ab.c", &json!(1)), "{ 'a\\x62': {\n  c: 1,\n} }");
}

#[test]
fn a_new_member_stands_behind_the_last_one_as_that_is_written() {
    for (text, expected) in [
        ("{}", "{\n  k: 1,\n}"),
        ("{ // c\n}", "{\n  k: 1,\n // c\n}"),
        ("{ a: 1 }", "{ a: 1, k: 1 }"),
        ("{ a: 1, }", "{ a: 1, k: 1, }"),
        ("{\n  a: 1 // c\n}\n", "{\n  a: 1, // c\n  k: 1\n}\n"),
        ("{\n\ta: 1, // c\n\t// d\n}", "{\n\ta: 1, // c\n\tk: 1,\n\t// d\n}"),
        ("{\r\n    \"a\": 1\r\n}\r\n", "{\r\n    \"a\": 1,\r\n    \"k\": 1\r\n}\r\n"),
        ("{ a: 1 // c\n}", "{ a: 1, k: 1 // c\n}"),
        ("{\n  a: 1 /* x\n  y */\n}", "{\n  a: 1,\n  k: 1 /* x\n  y */\n}"),
    ] {
        assert_eq!(set_to(text, "k", &json!(1)), expected, "{text}");
    }
    assert_eq!(
        set_to("{\n    a: 1,\n}\n", "b.c-d.e", &json!({ "f": ["x", 2], "g": {} })),
        "{\n    a: 1,\n    b: {\n        \"c-d\": {\n            e: {\n                f: [\"x\", 2],\n                g: {},\n            },\n        },\n    },\n}\n"
    );
}

#[test]
fn a_member_is_removed_with_its_comma_and_its_line() {
    for (text, expected) in [
        ("{ k: 1 }", "{  }"),
        ("{ k: 1, a: 2 }", "{  a: 2 }"),
        ("{ a: 2, k: 1 }", "{ a: 2  }"),
        ("{\n  a: 1, // c\n  k: { x: 1 },\n}\n", "{\n  a: 1, // c\n}\n"),
        ("{\n  \"a\": 1,\n  \"k\": [1]\n}", "{\n  \"a\": 1\n}"),
        ("{\n  k: 1, // c\n  k: 2,\n}", "{\n   // c\n}"),
    ] {
        assert_eq!(remove(text, &path("k")).unwrap().as_deref(), Some(expected), "{text}");
    }
    assert_eq!(remove("{ a: { b: 1 } }", &path("a.c")).unwrap(), None);
    assert_eq!(remove("{ a: 1 }", &path("a.c")).unwrap(), None);
}

#[test]
fn what_cannot_be_edited_is_named() {
    let e = set("{ a: { b: 'text' } }", &path("a.b.c"), &json!(1)).unwrap_err();
    assert_eq!(e.to_string(), "a.b is no object, so that nothing can be set in it");
    assert_eq!(set("[1]", &path("a"), &json!(1)), Err(EditError::Unreadable));
}

/// A text that stands for a value, with blanks and comments wherever they may be.
fn json5() -> impl Strategy<Value = (String, Value)> {
    let gap = || {
        prop::sample::select(vec![
            "",
            " ",
            "\n",
            "\r\n  ",
            "\t",
            " // c1 {\n",
            "/* c2 ' */",
            " /* c3\n } */ ",
            "\n  // c4 \"\n",
        ])
    };
    let scalar = prop::sample::select(vec![
        ("1", json!(1)),
        ("'a\\'{'", json!("a'{")),
        ("\"// no\"", json!("// no")),
        ("true", json!(true)),
        ("null", json!(null)),
        (".5", json!(0.5)),
        ("'你\\\n好'", json!("你好")),
    ]);
    let leaf = scalar.prop_map(|(text, value)| (text.to_owned(), value));
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let key = prop::sample::select(vec!["a", "'b'", "\"c\"", "$d", "'é.'"]);
        let member = (gap(), key, gap(), gap(), inner.clone(), gap());
        let object = (prop::collection::vec(member, 0..4), any::<bool>(), gap()).prop_map(
            |(members, comma, end)| {
                let mut text = String::new();
                let mut map = serde_json::Map::new();
                let count = members.len();
                for (n, (before, key, after, colon, (inner, value), last)) in
                    members.into_iter().enumerate()
                {
                    let comma = if n + 1 < count || comma { "," } else { "" };
                    write!(text, "{before}{key}{after}:{colon}{inner}{last}{comma}").unwrap();
                    let key = key.trim_matches(['\'', '"']);
                    // As the parser does: the last one counts, in the place of the first one.
                    map.insert(key.to_owned(), value);
                }
                (format!("{{{text}{end}}}"), Value::Object(map))
            },
        );
        let list = prop::collection::vec((gap(), inner, gap()), 0..3).prop_map(|items| {
            let mut text = String::new();
            for (before, (item, _), after) in &items {
                write!(text, "{before}{item}{after},").unwrap();
            }
            (format!("[{text}]"), items.into_iter().map(|(_, (_, value), _)| value).collect())
        });
        prop_oneof![3 => object, 1 => list]
    })
}

fn comments(text: &str) -> Vec<usize> {
    (1..=4)
        .map(|n| text.matches(&format!("c{n} ")).count() + text.matches(&format!("c{n}\n")).count())
        .collect()
}

/// The value with another one at a path; `None` where something else stands on the way.
fn expected(mut value: Value, path: &[&str], new: &Value) -> Option<Value> {
    let mut place = &mut value;
    for key in path {
        if place.is_null() {
            *place = json!({});
        }
        place = place.as_object_mut()?.entry(*key).or_insert(Value::Null);
    }
    *place = new.clone();
    Some(value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What is set is there afterwards, all else is as it was, and no comment outside of it is lost.
    #[test]
    fn an_edited_text_means_what_it_should(
        (text, value) in json5().prop_filter("an object", |(_, value)| value.is_object()),
        path in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "$d", "é.", "new"]), 1..4),
        new in prop::sample::select(vec![json!(7), json!("x\"'"), json!(["y"]), json!({ "z": { "é": 1 } })]),
    ) {
        let parsed: Value = json5::from_str(&text).unwrap();
        prop_assert_eq!(&parsed, &value);
        let owned: Vec<String> = path.iter().map(|&key| key.to_owned()).collect();
        let edited = set(&text, &owned, &new);
        match expected(value.clone(), &path, &new) {
            None => prop_assert!(edited.is_err()),
            Some(expected) => {
                let edited = edited.unwrap();
                let read: Value = json5::from_str(&edited).map_err(|e| TestCaseError::fail(format!("{e}: {edited}")))?;
                prop_assert_eq!(read, expected, "{}", edited);
                let is_new = path.iter().try_fold(&value, |place, key| place.get(*key)).is_none();
                if is_new {
                    prop_assert_eq!(comments(&edited), comments(&text), "{}", edited);
                }
            }
        }
        let without = remove(&text, &owned).unwrap();
        let mut expected = value.clone();
        let (last, way) = path.split_last().unwrap();
        let parent = way.iter().try_fold(&mut expected, |place, key| place.get_mut(*key));
        let gone = parent.and_then(Value::as_object_mut).and_then(|map| map.remove(*last));
        prop_assert_eq!(without.is_some(), gone.is_some());
        if let Some(without) = without {
            let read: Value = json5::from_str(&without).map_err(|e| TestCaseError::fail(format!("{e}: {without}")))?;
            prop_assert_eq!(read, expected, "{}", without);
        }
    }
}
