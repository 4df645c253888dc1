//! What a scalar of YAML without quotes means.

use serde_json::{Number, Value};

use super::body::is_kept;

/// Decides what a plain scalar is: the core schema of YAML 1.2, as far as JSON can say it.
///
/// What that schema and the older readers that are still in use (YAML 1.1) do not agree about is
/// refused: nobody notices a country that became `false`.
pub(super) fn plain(text: &str, is_key: bool) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        "<<" if is_key => {
            return Err("merge keys (<<) are not read; write the members out".to_owned());
        }
        _ => {}
    }
    if ["yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Err("yes, no, on and off are truths to some and texts to others; \
                    write true or false, or use quotes"
            .to_owned());
    }
    if text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && let Ok(number) = serde_json::from_str::<Number>(text)
    {
        return match number.as_f64() {
            Some(float) if number.is_f64() && !is_kept(float) => {
                Err("the number has too many digits to be kept; write it as a text".to_owned())
            }
            _ => Ok(Value::Number(number)),
        };
    }
    if is_doubtful_number(text) {
        return Err("some read a number here, some another, some a text; \
                    write it as JSON does, or use quotes"
            .to_owned());
    }
    Ok(Value::String(text.to_owned()))
}

/// Tells whether a text that is no number of JSON is one of YAML 1.1 or 1.2: `012`, `+1`, `1_000`,
/// `.5`, `0x1f`, `0o17`, `.inf`, `1e999`.
fn is_doubtful_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).replace('_', "");
    let based = |prefix: &str, base: u32| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(base)))
    };
    let decimal = digits.starts_with(|first: char| first == '.' || first.is_ascii_digit())
        && digits.parse::<f64>().is_ok();
    let special = [".inf", ".nan"].iter().any(|word| digits.eq_ignore_ascii_case(word));
    decimal || special || based("0x", 16) || based("0o", 8) || based("0b", 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_readers_of_yaml_do_not_agree_about_is_refused() {
        for text in [
            "yes", "No", "ON", "off", "012", "+1", "1_000", ".5", "5.", "0x1F", "0o17", "0b101",
            ".inf", "-.INF", ".NaN", "1e999", "-012", "1.5e+3_0",
        ] {
            let error = plain(text, false).unwrap_err();
            assert!(!error.contains(text) || text.len() < 4, "{text}: {error}");
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_a_text() {
        for text in [
            "2024-01-01",
            "10:30",
            "10.0.0.1",
            "1.2.3",
            "5m",
            "1e",
            "0x",
            "0xZZ",
            "-",
            "--1",
            "1-2",
            ".",
            "..",
            "infinity",
            "nan",
            "inf",
            "e5",
            "y",
            "n",
            "0b2",
        ] {
            assert_eq!(plain(text, false), Ok(json!(text)));
        }
    }

    #[test]
    fn the_core_schema_is_read() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("Null", json!(null)),
            ("TRUE", json!(true)),
            ("False", json!(false)),
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("2.50", json!(2.5)),
            ("1E2", json!(100.0)),
        ] {
            assert_eq!(plain(text, false), Ok(value), "{text}");
        }
    }
}
