//! `info`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::units;
use crate::call::Call;
use crate::error::Outcome;
use crate::plugins;
use crate::template::{INSPECT, Template};
use crate::ui;

/// Shows the client and its engine.
pub(crate) fn info(call: &Call) -> Outcome {
    let format = call.flags().text("format");
    let template = match format {
        "" | "json" => None,
        _ => Some(Template::parse(format, INSPECT)?),
    };
    let context = call.context_name()?;
    let server = call.with_engine(|engine| async move { Ok(engine.get("/info").await?) });
    let (server, failure) = match server {
        Ok(server) => (server, None),
        Err(error) => (json!({}), Some(error)),
    };
    if template.is_none() && format.is_empty() {
        ui::out(&client_text(call, &context))?;
        return match failure {
            None => {
                ui::out(&server_text(&server))?;
                warnings(&server);
                Ok(0)
            }
            Some(error) => {
                ui::out("\nServer:\n")?;
                Err(error)
            }
        };
    }
    let whole = with_client(call, server, &context);
    let text = match template {
        Some(template) => template.render(whole.clone(), whole)?,
        None => client::files::go_escape(&whole.to_string()),
    };
    ui::out(&format!("{text}\n"))?;
    failure.map_or(Ok(0), Err)
}

fn with_client(call: &Call, mut server: Value, context: &str) -> Value {
    let plugins: Vec<Value> = plugins::list(&call.config_dir())
        .into_iter()
        .map(|plugin| {
            let mut row = plugin.metadata;
            row["Name"] = plugin.name.into();
            row["Path"] = plugin.path.to_string_lossy().into();
            row
        })
        .collect();
    server["ClientInfo"] = json!({
        "Debug": call.debug(),
        "Version": super::version::own(call.program),
        "Os": "linux",
        "Arch": super::version::arch(),
        "Context": context,
        "Plugins": plugins,
        "Warnings": null,
    });
    server
}

fn client_text(call: &Call, context: &str) -> String {
    let mut text = format!(
        "Client:\n Version:    {}\n Context:    {context}\n Debug Mode: {}\n",
        super::version::own(call.program),
        call.debug()
    );
    let plugins = plugins::list(&call.config_dir());
    if !plugins.is_empty() {
        text.push_str(" Plugins:\n");
    }
    for plugin in plugins {
        let _ = writeln!(
            text,
            "  {}: {} ({})",
            plugin.name,
            plugin.text("ShortDescription"),
            plugin.text("Vendor")
        );
        let _ = writeln!(
            text,
            "    Version:  {}\n    Path:     {}",
            plugin.text("Version"),
            plugin.path.display()
        );
    }
    diag::printable(&text)
}

/// Lines in docker's order; what an engine doesn't tell is left out.
struct Lines<'a> {
    info: &'a Value,
    text: String,
}

impl Lines<'_> {
    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, " {name}: {value}");
    }

    fn value(&mut self, name: &str, key: &str) {
        let value = match &self.info[key] {
            Value::String(text) => text.clone(),
            Value::Null => return,
            other => other.to_string(),
        };
        self.line(name, &value);
    }

    fn given(&mut self, name: &str, key: &str) {
        if self.info[key].as_str().is_some_and(|text| !text.is_empty()) {
            self.value(name, key);
        }
    }

    fn items(&mut self, name: &str, items: &[String]) {
        if !items.is_empty() {
            let _ = writeln!(self.text, " {name}:\n  {}", items.join("\n  "));
        }
    }
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn server_text(info: &Value) -> String {
    let mut lines = Lines { info, text: "\nServer:\n".into() };
    storage(&mut lines);
    engine(&mut lines);
    machine(&mut lines);
    tail(&mut lines);
    lines.text.push('\n');
    diag::printable(&lines.text)
}

fn storage(lines: &mut Lines) {
    lines.value("Containers", "Containers");
    for (name, key) in [
        (" Running", "ContainersRunning"),
        (" Paused", "ContainersPaused"),
        (" Stopped", "ContainersStopped"),
    ] {
        lines.value(name, key);
    }
    lines.value("Images", "Images");
    lines.given("Server Version", "ServerVersion");
    lines.value("Storage Driver", "Driver");
    for pair in lines.info["DriverStatus"].as_array().into_iter().flatten() {
        let _ = writeln!(
            lines.text,
            "  {}: {}",
            pair[0].as_str().unwrap_or_default(),
            pair[1].as_str().unwrap_or_default()
        );
    }
    lines.value("Logging Driver", "LoggingDriver");
    lines.value("Cgroup Driver", "CgroupDriver");
    lines.given("Cgroup Version", "CgroupVersion");
}

fn engine(lines: &mut Lines) {
    let info = lines.info;
    let plugins = &info["Plugins"];
    lines.text.push_str(" Plugins:\n");
    for kind in ["Volume", "Network", "Authorization", "Log"] {
        let names = words(&plugins[kind]);
        if !names.is_empty() || kind == "Volume" || kind == "Network" {
            let _ = writeln!(lines.text, "  {kind}: {}", names.join(" "));
        }
    }
    lines.items("CDI spec directories", &words(&info["CDISpecDirs"]));
    lines.line("Swarm", info["Swarm"]["LocalNodeState"].as_str().unwrap_or("inactive"));
    let runtimes = info["Runtimes"].as_object();
    let mut runtimes: Vec<&str> = runtimes.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    runtimes.sort_unstable();
    if !runtimes.is_empty() {
        lines.line("Runtimes", &runtimes.join(" "));
        lines.value("Default Runtime", "DefaultRuntime");
    }
    lines.value("Init Binary", "InitBinary");
    for (name, key) in [("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")] {
        if let Some(id) = info[key]["ID"].as_str() {
            lines.line(&format!("{name} version"), id);
        }
    }
    security(lines);
}

fn security(lines: &mut Lines) {
    let options = words(&lines.info["SecurityOptions"]);
    if options.is_empty() {
        return;
    }
    lines.text.push_str(" Security Options:\n");
    for option in options {
        let pairs = option.split(',').filter_map(|pair| pair.split_once('='));
        for (key, value) in pairs {
            let _ = match key {
                "name" => writeln!(lines.text, "  {value}"),
                _ => writeln!(lines.text, "   {}{}: {value}", key[..1].to_uppercase(), &key[1..]),
            };
        }
    }
}

fn machine(lines: &mut Lines) {
    for (name, key) in [
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
    ] {
        lines.value(name, key);
    }
    lines.line("Total Memory", &units::binary_size(lines.info["MemTotal"].as_f64().unwrap_or_default()));
    lines.value("Name", "Name");
    lines.value("ID", "ID");
    lines.value("Docker Root Dir", "DockerRootDir");
    lines.value("Debug Mode", "Debug");
    if lines.info["Debug"] == true {
        for (name, key) in [
            (" File Descriptors", "NFd"),
            (" Goroutines", "NGoroutines"),
            (" System Time", "SystemTime"),
            (" EventsListeners", "NEventsListener"),
        ] {
            lines.value(name, key);
        }
    }
    for (name, key) in [("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")] {
        lines.given(name, key);
    }
}

fn tail(lines: &mut Lines) {
    let info = lines.info;
    lines.items("Labels", &words(&info["Labels"]));
    lines.value("Experimental", "ExperimentalBuild");
    let registries = &info["RegistryConfig"];
    let names = registries["IndexConfigs"].as_object();
    let insecure = names.into_iter().flatten().filter(|(_, config)| config["Secure"] == false);
    let mut insecure: Vec<String> = insecure.map(|(name, _)| name.clone()).collect();
    insecure.extend(words(&registries["InsecureRegistryCIDRs"]));
    lines.items("Insecure Registries", &insecure);
    lines.items("Registry Mirrors", &words(&registries["Mirrors"]));
    lines.value("Live Restore Enabled", "LiveRestoreEnabled");
    lines.given("Product License", "ProductLicense");
    let pools = info["DefaultAddressPools"].as_array().into_iter().flatten();
    let pools: Vec<String> = pools
        .map(|pool| format!("Base: {}, Size: {}", pool["Base"].as_str().unwrap_or_default(), pool["Size"]))
        .collect();
    lines.items("Default Address Pools", &pools);
}

fn warnings(info: &Value) {
    for warning in words(&info["Warnings"]) {
        ui::err(&diag::printable(&warning));
    }
}
