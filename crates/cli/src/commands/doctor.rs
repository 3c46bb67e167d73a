//! `system doctor` and `system ports`: Ketch's own.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::ui;

/// Says of each thing that the engine needs of its machine how it is, and what helps. What is missing is exit code 1.
pub(crate) fn doctor(call: &Call) -> Outcome {
    let findings = call.with_engine(|engine| async move { Ok(engine.get("/system/doctor").await?) })?;
    match call.flags().text("format") {
        "json" => ui::out(&format!("{}\n", client::files::go_escape(&findings.to_string())))?,
        "" => ui::out(&report(&findings))?,
        other => return Err(Error::Usage(format!("unknown format {other:?}: there is `json`"))),
    }
    Ok(i32::from(list(&findings).iter().any(|finding| finding["Health"] == "failed")))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn report(findings: &Value) -> String {
    let width = list(findings).iter().map(|finding| text(finding, "Subject").len()).max().unwrap_or(0);
    let mut report = String::new();
    for finding in list(findings) {
        let [health, subject, said] = ["Health", "Subject", "Said"].map(|key| text(finding, key));
        let _ = writeln!(report, "{health:<7}  {subject:<width$}  {said}");
        let remedy = text(finding, "Remedy");
        if health != "ok" && !remedy.is_empty() {
            let _ = writeln!(report, "{:<7}  {:<width$}  what helps: {remedy}", "", "");
        }
    }
    report
}

const PORTS: Listing = Listing {
    fields: &[
        ("Container", "CONTAINER"),
        ("Port", "PORT"),
        ("To", "TO"),
        ("Reach", "REACHED BY"),
        ("Rule", "DECIDED BY"),
        ("Hindered", "HINDERED BY"),
    ],
    table: "{{.Port}}\t{{.Container}}\t{{.To}}\t{{.Reach}}\t{{.Rule}}\t{{.Hindered}}",
    quiet: "",
};

/// Shows each published port with who reaches it.
pub(crate) fn ports(call: &Call) -> Outcome {
    let openings = call.with_engine(|engine| async move { Ok(engine.get("/system/ports").await?) })?;
    let rows: Vec<Row> = list(&openings).iter().map(row).collect();
    ui::out(&PORTS.render(call.flags().text("format"), false, &rows)?)?;
    Ok(0)
}

fn row(opening: &Value) -> Row {
    let at = |ip: &str, port: &str| match text(opening, ip) {
        six if six.contains(':') => format!("[{six}]:{}", text(opening, port)),
        four => format!("{four}:{}", text(opening, port)),
    };
    let hindered: Vec<&str> = list(&opening["Hindered"]).iter().filter_map(Value::as_str).collect();
    let hindered = if hindered.is_empty() { "nothing".to_owned() } else { hindered.join("; ") };
    Map::from_iter([
        ("Container".to_owned(), json!(text(opening, "Container"))),
        ("Port".to_owned(), json!(format!("{}/{}", at("HostIP", "HostPort"), text(opening, "Type")))),
        ("To".to_owned(), json!(at("ContainerIP", "ContainerPort"))),
        ("Reach".to_owned(), json!(text(opening, "Reach"))),
        ("Rule".to_owned(), json!(text(opening, "Rule"))),
        ("Hindered".to_owned(), json!(hindered)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_stands_with_what_helps() {
        let findings = json!([
            {"Subject": "erofs", "Health": "ok", "Said": "there", "Remedy": ""},
            {"Subject": "nftables", "Health": "failed", "Said": "none", "Remedy": "modprobe nf_tables"},
        ]);
        let expected = "ok       erofs     there\nfailed   nftables  none\n                   what helps: modprobe nf_tables\n";
        assert_eq!(report(&findings), expected);
    }

    #[test]
    fn a_port_is_a_row() {
        let opening = json!({"Container": "web", "Type": "tcp", "HostIP": "::", "HostPort": "80-81",
            "ContainerIP": "10.0.0.2", "ContainerPort": "80-81", "Reach": "everybody", "Rule": "r", "Hindered": []});
        let row = row(&opening);
        assert_eq!(row["Port"], "[::]:80-81/tcp");
        assert_eq!((&row["To"], &row["Hindered"]), (&json!("10.0.0.2:80-81"), &json!("nothing")));
    }
}
