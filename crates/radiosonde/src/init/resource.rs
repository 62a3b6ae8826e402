//! What produces the telemetry, in OpenTelemetry's names for services, processes, hosts and operating systems.

use radiosonde_core::model::{Resource, Text, Value};

/// The resource of this process. Names in `attributes` win over what is found out here.
pub(super) fn describe(service_name: Option<String>, attributes: Vec<(Text, Value)>) -> Resource {
    let executable = std::env::current_exe().ok();
    let executable_name = executable
        .as_deref()
        .and_then(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned());
    let mut found: Vec<(Text, Value)> = Vec::new();
    let mut put = |name: &'static str, value: Option<Value>| {
        if let Some(value) = value {
            found.push((name.into(), value));
        }
    };
    // Without a name, OpenTelemetry's resource conventions prescribe `unknown_service:` and the executable's name.
    let service = service_name.unwrap_or_else(|| match &executable_name {
        Some(name) => format!("unknown_service:{name}"),
        None => "unknown_service".to_owned(),
    });
    put("service.name", Some(service.into()));
    put("process.pid", Some(std::process::id().into()));
    put("process.executable.name", executable_name.map(Value::from));
    put(
        "process.executable.path",
        executable.map(|path| path.to_string_lossy().into_owned().into()),
    );
    put("host.name", host_name().map(Value::from));
    put("host.arch", Some(architecture().into()));
    put("os.type", Some(os_type().into()));
    put("telemetry.sdk.name", Some("radiosonde".into()));
    put("telemetry.sdk.language", Some("rust".into()));
    put(
        "telemetry.sdk.version",
        Some(env!("CARGO_PKG_VERSION").into()),
    );
    for (name, value) in attributes {
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => found.push((name, value)),
        }
    }
    Resource { attributes: found }
}

/// The host's name as the kernel has it, else as the environment says.
fn host_name() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

/// `host.arch` as semantic conventions spell it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

/// `os.type` as semantic conventions spell it.
fn os_type() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_described_in_the_names_of_the_conventions() {
        let resource = describe(None, Vec::new());
        assert!(resource.service_name().starts_with("unknown_service:"));
        assert_eq!(
            resource.attribute("process.pid").and_then(Value::as_u64),
            Some(u64::from(std::process::id()))
        );
        for name in [
            "host.name",
            "host.arch",
            "os.type",
            "process.executable.name",
        ] {
            let value = resource.attribute(name).and_then(Value::as_str);
            assert!(value.is_some_and(|text| !text.is_empty()), "{name}");
        }
    }

    #[test]
    fn what_the_user_says_wins() {
        let own = vec![
            ("host.name".into(), Value::from("gpu-7")),
            ("deployment.environment.name".into(), Value::from("prod")),
        ];
        let resource = describe(Some("shop".to_owned()), own);
        assert_eq!(resource.service_name(), "shop");
        assert_eq!(
            resource.attribute("host.name").and_then(Value::as_str),
            Some("gpu-7")
        );
        assert_eq!(
            resource
                .attributes
                .iter()
                .filter(|(name, _)| name == "host.name")
                .count(),
            1
        );
    }
}
