//! What a plain scalar means, as the library reads it that docker's client uses: YAML 1.2, with 1.1's octal numbers.

use super::Value;

/// The value of a scalar without quotes.
pub fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let begins = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    if !text.starts_with(begins) {
        return Value::Text(text.to_owned());
    }
    if let Some(number) = integer(text) {
        return Value::Int(number);
    }
    match decimal(text) {
        Some(number) => Value::Float(number),
        None => Value::Text(text.to_owned()),
    }
}

fn integer(text: &str) -> Option<i64> {
    let bare = text.replace('_', "");
    let (negative, digits) = match bare.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, bare.strip_prefix('+').unwrap_or(&bare)),
    };
    let radix = |prefixes: &[&str], radix| {
        let rest = prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix))?;
        Some((rest, radix))
    };
    let (digits, radix) = radix(&["0x", "0X"], 16)
        .or_else(|| radix(&["0o", "0O"], 8))
        .or_else(|| radix(&["0b", "0B"], 2))
        .or_else(|| (digits.len() > 1).then(|| radix(&["0"], 8)).flatten())
        .unwrap_or((digits, 10));
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -number } else { number }).ok()
}

fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let whole = mantissa.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_');
    let dots = mantissa.matches('.').count();
    if !whole || dots > 1 || !mantissa.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
}

/// A number as Go writes it in YAML: `1.5`, `1e+21`, `.inf`.
pub fn float_text(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-5..1e21).contains(&magnitude) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_they_mean_to_docker() {
        let table = [
            ("", Value::Null),
            ("~", Value::Null),
            ("yes", Value::Text("yes".into())),
            ("on", Value::Text("on".into())),
            ("True", Value::Bool(true)),
            ("0777", Value::Int(0o777)),
            ("0o17", Value::Int(0o17)),
            ("0x1F", Value::Int(31)),
            ("08", Value::Float(8.0)),
            ("-7", Value::Int(-7)),
            ("1_000", Value::Int(1000)),
            ("1.5", Value::Float(1.5)),
            (".5", Value::Float(0.5)),
            ("1e3", Value::Float(1000.0)),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("3-alpine", Value::Text("3-alpine".into())),
            ("192.168.0.0/24", Value::Text("192.168.0.0/24".into())),
            ("-", Value::Text("-".into())),
            ("99999999999999999999", Value::Float(1e20)),
        ];
        for (text, value) in table {
            assert_eq!(plain(text), value, "{text}");
        }
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        assert_eq!(float_text(0.5), "0.5");
        assert_eq!(float_text(1e21), "1e+21");
        assert_eq!(float_text(1.5e-7), "1.5e-07");
        assert_eq!(float_text(3.0), "3");
    }
}
